//! DynamoDB's expressions as values.
//!
//! DynamoDB refuses an attribute name that is a reserved word, and names or values that are declared and not used.
//! So every name and value becomes an alias (`#n00`, `:v00`), which is declared where it is used.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::domain::scan::ScanId;

/// The value of an attribute. A time is a number: milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value(pub(super) AttributeValue);

macro_rules! values {
    ($($type:ty: $value:ident => $attribute:expr,)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                Self($attribute)
            }
        })*
    };
}

values! {
    i8: number => AttributeValue::N(number.to_string()),
    u8: number => AttributeValue::N(number.to_string()),
    u32: number => AttributeValue::N(number.to_string()),
    u64: number => AttributeValue::N(number.to_string()),
    i64: number => AttributeValue::N(number.to_string()),
    usize: number => AttributeValue::N(number.to_string()),
    Timestamp: time => AttributeValue::N(time.as_millisecond().to_string()),
    ScanId: scan => AttributeValue::N(scan.get().to_string()),
    bool: flag => AttributeValue::Bool(flag),
    String: text => AttributeValue::S(text),
    &str: text => AttributeValue::S(text.to_owned()),
    Vec<u8>: bytes => AttributeValue::B(Blob::new(bytes)),
    AttributeValue: value => value,
}

/// The condition of a write, or the key or filter of a query.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Exists(&'static str),
    Absent(&'static str),
    Compare(&'static str, &'static str, Value),
    Between(&'static str, Value, Value),
    BeginsWith(&'static str, Value),
    OneOf(&'static str, Vec<Value>),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
}

pub(super) const fn exists(name: &'static str) -> Condition {
    Condition::Exists(name)
}

pub(super) const fn absent(name: &'static str) -> Condition {
    Condition::Absent(name)
}

macro_rules! comparisons {
    ($($function:ident: $operator:literal,)*) => {
        $(pub(super) fn $function(name: &'static str, value: impl Into<Value>) -> Condition {
            Condition::Compare(name, $operator, value.into())
        })*
    };
}

comparisons! { equals: "=", less: "<", at_most: "<=", greater: ">", }

pub(super) fn between(name: &'static str, first: impl Into<Value>, last: impl Into<Value>) -> Condition {
    Condition::Between(name, first.into(), last.into())
}

pub(super) fn begins_with(name: &'static str, prefix: impl Into<Value>) -> Condition {
    Condition::BeginsWith(name, prefix.into())
}

/// `values` must not be empty.
pub(super) fn one_of<V: Into<Value>>(name: &'static str, values: impl IntoIterator<Item = V>) -> Condition {
    Condition::OneOf(name, values.into_iter().map(Into::into).collect())
}

impl Condition {
    pub(super) fn and(self, other: Self) -> Self {
        Self::Both(Box::new(self), Box::new(other))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self::Either(Box::new(self), Box::new(other))
    }
}

/// One change of an update.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(&'static str, Value),
    SetIfAbsent(&'static str, Value),
    /// Adds one to a number, or to the seed if the number is absent.
    CountFrom(&'static str, Value),
    /// Adds to a number, or to zero if the number is absent.
    Add(&'static str, Value),
    Remove(&'static str),
}

/// The names and values of one request's expressions.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    names: Vec<&'static str>,
    values: Vec<Value>,
}

/// The declarations of all aliases. DynamoDB refuses empty ones.
#[derive(Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) names: Option<HashMap<String, String>>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
}

impl Aliases {
    fn name(&mut self, name: &'static str) -> String {
        let at = self.names.iter().position(|known| *known == name).unwrap_or(self.names.len());
        if at == self.names.len() {
            self.names.push(name);
        }
        format!("#n{at:02}")
    }

    fn value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!(":v{:02}", self.values.len() - 1)
    }

    /// Writes a condition as an expression.
    pub(super) fn condition(&mut self, condition: Condition) -> String {
        match condition {
            Condition::Exists(name) => format!("attribute_exists({})", self.name(name)),
            Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Compare(name, operator, value) => {
                format!("{} {operator} {}", self.name(name), self.value(value))
            }
            Condition::Between(name, first, last) => {
                format!("{} BETWEEN {} AND {}", self.name(name), self.value(first), self.value(last))
            }
            Condition::BeginsWith(name, prefix) => format!("begins_with({}, {})", self.name(name), self.value(prefix)),
            Condition::OneOf(name, values) => {
                let name = self.name(name);
                let values: Vec<String> = values.into_iter().map(|value| self.value(value)).collect();
                format!("{name} IN ({})", values.join(", "))
            }
            Condition::Both(one, other) => format!("{} AND {}", self.operand(*one), self.operand(*other)),
            Condition::Either(one, other) => format!("{} OR {}", self.condition(*one), self.condition(*other)),
        }
    }

    /// Writes an operand of `AND`, which binds more tightly than `OR`. DynamoDB refuses redundant parentheses.
    fn operand(&mut self, condition: Condition) -> String {
        let is_either = matches!(condition, Condition::Either(..));
        let text = self.condition(condition);
        if is_either { format!("({text})") } else { text }
    }

    /// Writes changes as an update expression; none without changes.
    pub(super) fn update(&mut self, changes: Vec<Change>) -> Option<String> {
        let (mut set, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Set(name, value) => set.push(format!("{} = {}", self.name(name), self.value(value))),
                Change::SetIfAbsent(name, value) => {
                    let name = self.name(name);
                    set.push(format!("{name} = if_not_exists({name}, {})", self.value(value)));
                }
                Change::CountFrom(name, seed) => {
                    let (name, seed, one) = (self.name(name), self.value(seed), self.value(1_u32.into()));
                    set.push(format!("{name} = if_not_exists({name}, {seed}) + {one}"));
                }
                Change::Add(name, value) => add.push(format!("{} {}", self.name(name), self.value(value))),
                Change::Remove(name) => remove.push(self.name(name)),
            }
        }
        let clauses = [("SET", set), ("REMOVE", remove), ("ADD", add)].into_iter().filter(|(_, all)| !all.is_empty());
        let clauses: Vec<String> = clauses.map(|(verb, all)| format!("{verb} {}", all.join(", "))).collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// Declares all aliases.
    pub(super) fn declared(self) -> Declared {
        let names = self.names.into_iter().enumerate().map(|(at, name)| (format!("#n{at:02}"), name.to_owned()));
        let values = self.values.into_iter().enumerate().map(|(at, Value(value))| (format!(":v{at:02}"), value));
        let (names, values): (HashMap<_, _>, HashMap<_, _>) = (names.collect(), values.collect());
        Declared {
            names: Some(names).filter(|names| !names.is_empty()),
            values: Some(values).filter(|values| !values.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(&["pk", "state", "status", "rank", "lease_until", "z"][..])
    }

    fn any_condition() -> impl Strategy<Value = Condition> {
        let test = (name(), 0_u32..9, 0_usize..7).prop_map(|(name, n, kind)| match kind {
            0 => exists(name),
            1 => absent(name),
            2 => equals(name, n),
            3 => at_most(name, n),
            4 => between(name, n, n + 1),
            5 => begins_with(name, "prefix"),
            _ => one_of(name, 0..=n),
        });
        test.prop_recursive(4, 16, 2, |inner| {
            (inner.clone(), inner, any::<bool>()).prop_map(|(a, b, both)| if both { a.and(b) } else { a.or(b) })
        })
    }

    fn any_change() -> impl Strategy<Value = Change> {
        (name(), 0_u32..9, 0_usize..5).prop_map(|(name, n, kind)| match kind {
            0 => Change::Set(name, n.into()),
            1 => Change::SetIfAbsent(name, n.into()),
            2 => Change::CountFrom(name, n.into()),
            3 => Change::Add(name, n.into()),
            _ => Change::Remove(name),
        })
    }

    /// The aliases in an expression that begin with `mark`.
    fn used(text: &str, mark: char) -> BTreeSet<String> {
        let ends = |c: char| !c.is_ascii_alphanumeric();
        text.split(mark).skip(1).map(|after| format!("{mark}{}", after.split(ends).next().unwrap())).collect()
    }

    proptest! {
        #[test]
        fn no_name_or_value_is_unused_or_missing(
            changes in prop::collection::vec(any_change(), 0..8),
            condition in any_condition(),
        ) {
            let mut aliases = Aliases::default();
            let update = aliases.update(changes).unwrap_or_default();
            let text = format!("{update} {}", aliases.condition(condition));
            let Declared { names, values } = aliases.declared();
            prop_assert_eq!(used(&text, '#'), names.unwrap_or_default().into_keys().collect::<BTreeSet<_>>());
            prop_assert_eq!(used(&text, ':'), values.unwrap_or_default().into_keys().collect::<BTreeSet<_>>());
        }
    }

    fn written(condition: Condition) -> String {
        Aliases::default().condition(condition)
    }

    #[test]
    fn either_is_put_in_parentheses_inside_of_both_only() {
        let either = || absent("pk").or(less("rank", 5_u32));
        assert_eq!(written(either()), "attribute_not_exists(#n00) OR #n01 < :v00");
        assert_eq!(
            written(equals("state", "x").and(either())),
            "#n00 = :v00 AND (attribute_not_exists(#n01) OR #n02 < :v01)"
        );
        assert_eq!(
            written(either().or(equals("pk", "x").and(greater("rank", 1_u32)))),
            "attribute_not_exists(#n00) OR #n01 < :v00 OR #n00 = :v01 AND #n01 > :v02"
        );
    }

    #[test]
    fn each_clause_of_an_update_is_written_once() {
        let mut aliases = Aliases::default();
        let changes = vec![
            Change::Add("resent", 1_u32.into()),
            Change::Set("status", "pending".into()),
            Change::Remove("failure"),
            Change::CountFrom("attempt", 7_u32.into()),
            Change::SetIfAbsent("form", 2_u32.into()),
            Change::Remove("owner"),
        ];
        assert_eq!(
            aliases.update(changes).unwrap(),
            "SET #n01 = :v01, #n03 = if_not_exists(#n03, :v02) + :v03, #n04 = if_not_exists(#n04, :v04) \
             REMOVE #n02, #n05 ADD #n00 :v00"
        );
        assert_eq!(Aliases::default().update(Vec::new()), None);
        assert_eq!(Aliases::default().declared(), Declared { names: None, values: None });
    }
}
