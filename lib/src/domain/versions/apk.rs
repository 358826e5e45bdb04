//! Versions of Alpine's packages, as the tokens of apk-tools.

/// A token, in the order in which the first differing one decides: only a pre-release sorts before the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    PreRelease(usize),
    End,
    Revision(i64),
    SuffixNumber(i64),
    Suffix(usize),
    Letter(u8),
    Fraction(String),
    Number(i64),
}

const PRE_RELEASES: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const SUFFIXES: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// The most digits of a number in apk-tools.
const MAX_DIGITS: usize = 17;

/// Reads `1.2.3a_rc1-r4`.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let (text, revision) = match text.rsplit_once("-r") {
        Some((version, digits)) => (version, Some(number(digits)?)),
        None => (text, None),
    };
    let mut suffixes = text.split('_');
    let version = suffixes.next()?;
    let (numbers, letter) = match version.as_bytes().split_last()? {
        (letter, _) if letter.is_ascii_lowercase() => (version.get(..version.len() - 1)?, Some(*letter)),
        _ => (version, None),
    };
    for (at, digits) in numbers.split('.').enumerate() {
        let number = number(digits)?;
        // Behind a dot, digits that begin with zero are a fraction: `1.001` is before `1.01`, which is before `1.1`.
        let is_fraction = at > 0 && digits.starts_with('0');
        tokens.push(if is_fraction { Token::Fraction(digits.to_owned()) } else { Token::Number(number) });
    }
    tokens.extend(letter.map(Token::Letter));
    for suffix in suffixes {
        let (name, digits) = suffix.split_at(suffix.find(|c: char| c.is_ascii_digit()).unwrap_or(suffix.len()));
        let place = |names: &[&str]| names.iter().position(|known| *known == name);
        tokens.push(match (place(&PRE_RELEASES), place(&SUFFIXES)) {
            (Some(place), _) => Token::PreRelease(place),
            (None, Some(place)) => Token::Suffix(place),
            (None, None) => return None,
        });
        if !digits.is_empty() {
            tokens.push(Token::SuffixNumber(number(digits)?));
        }
    }
    tokens.extend(revision.map(Token::Revision));
    tokens.push(Token::End);
    Some(tokens)
}

fn number(digits: &str) -> Option<i64> {
    let is_number = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}
