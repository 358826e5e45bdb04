#!/usr/bin/env bash
# cfn-lint 1.54 and later do not translate AWS SAM templates: values that 1.53.0 reports pass.
#
# Seen on 2026-11-28 with cfn-lint 1.53.0 (which installs aws-sam-translator), 1.54.0 and 1.58.0 (which do not),
# on a template with an SQS event of BatchSize 100000, a queue whose visibility timeout is shorter than the
# function's timeout, and an architecture that Lambda does not have:
#
#   cfn-lint 1.53.0: exit code 2 with E3034, E3505 and E3030
#   cfn-lint 1.54.0 and 1.58.0: exit code 0 and no output
#
# A pipeline that trusts `cfn-lint template.yaml` must translate the template itself first
# (aws-sam-translator, or `sam validate --lint`).
#
# Needs python3 with venv and the network. Exits 0 while the behaviour is as described, 1 otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > template.yaml <<'TEMPLATE'
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 5
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "def handler(event, context): pass"
      Handler: index.handler
      Runtime: python3.13
      Timeout: 60
      Architectures: [sparc]
      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 100000
TEMPLATE

failed=0
for version in 1.53.0 1.54.0 1.58.0; do
  python3 -m venv "venv-$version"
  "venv-$version/bin/pip" install --quiet "cfn-lint==$version"
  code=0
  "venv-$version/bin/cfn-lint" template.yaml > "out-$version" || code=$?
  rules=$(grep -oE '^[EW][0-9]{4}' "out-$version" | sort | tr '\n' ' ' || true)
  echo "cfn-lint $version: exit code $code, rules: ${rules:-none}"
  case "$version: $code $rules" in
    "1.53.0: 2 E3030 E3034 E3505 " | "1.54.0: 0 " | "1.58.0: 0 ") ;;
    *) failed=1 ;;
  esac
done
if [ "$failed" -ne 0 ]; then
  echo "the behaviour has changed"
  exit 1
fi
