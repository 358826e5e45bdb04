# Points the functions at DynamoDB Local, without a bucket and without queues, and creates their table if it is not there:
#   . local/dynamodb-local.sh
# Sourced, not run: what it exports is for `cargo lambda watch` in the same shell. Needs the AWS CLI.

export AWS_ENDPOINT_URL_DYNAMODB="${AWS_ENDPOINT_URL_DYNAMODB:-http://127.0.0.1:8000}"
# The functions read AWS_REGION; the first versions of the AWS CLI read AWS_DEFAULT_REGION only.
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
# Any will do. A session token of a real account must not go along.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
unset AWS_SESSION_TOKEN AWS_PROFILE
export TABLE_NAME=sirius BUCKET_NAME=none ARCHIVE_REPORTS=false
# Left over from another deployment, they would point to queues that no function reads here.
unset ENRICHMENT_QUEUE_URL ANALYSIS_QUEUE_URL UPLOAD_QUEUE_URL OLLAMA_MODEL AUTO_ANALYZE

aws dynamodb describe-table --table-name "$TABLE_NAME" > /dev/null 2>&1 ||
  aws dynamodb create-table --table-name "$TABLE_NAME" --billing-mode PAY_PER_REQUEST \
    --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
        AttributeName=listing,AttributeType=S AttributeName=rank,AttributeType=N \
        AttributeName=fleet,AttributeType=S AttributeName=seen,AttributeType=N \
        AttributeName=lineage,AttributeType=S AttributeName=generation,AttributeType=S \
    --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE \
    --global-secondary-indexes \
        'IndexName=listing,KeySchema=[{AttributeName=listing,KeyType=HASH},{AttributeName=rank,KeyType=RANGE}],Projection={ProjectionType=ALL}' \
        'IndexName=fleet,KeySchema=[{AttributeName=fleet,KeyType=HASH},{AttributeName=seen,KeyType=RANGE}],Projection={ProjectionType=ALL}' \
        'IndexName=repository,KeySchema=[{AttributeName=lineage,KeyType=HASH},{AttributeName=generation,KeyType=RANGE}],Projection={ProjectionType=ALL}' \
    > /dev/null
