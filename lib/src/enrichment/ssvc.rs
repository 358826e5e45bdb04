//! Reads CISA's decision points, which NVD and CVE records spell differently.

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error};
use serde_json::Value;

use crate::domain::upstream_time::instant;
use crate::domain::vulnerability::Ssvc;

/// Reads `[{"Exploitation": "poc"}, {"Automatable": "No"}, {"technicalImpact": "total"}]`; none if it
/// has none of the three. Each unreadable value is noted.
///
/// Case and spaces do not count: "Technical Impact" and `PoC` in CVE records are `technicalImpact` and
/// `poc` in NVD's.
pub(super) fn decision_points(
    options: &[Value],
    timestamp: Option<&str>,
    assigner: &str,
    notes: &mut Vec<String>,
) -> Option<Ssvc> {
    let mut ssvc = Ssvc {
        exploitation: None,
        automatable: None,
        technical_impact: None,
        assigner: assigner.to_owned(),
        assessed_at: timestamp.and_then(instant),
    };
    if timestamp.is_some() && ssvc.assessed_at.is_none() {
        notes.push("ssvc: the time of the assessment cannot be read".into());
    }
    for (point, value) in options.iter().filter_map(Value::as_object).flatten() {
        let (point, value) = (letters(point), letters(value.as_str().unwrap_or_default()));
        let is_known = match point.as_str() {
            "exploitation" => {
                ssvc.exploitation = value_named(if value == "publicpoc" { "poc" } else { &value });
                ssvc.exploitation.is_some()
            }
            "automatable" => {
                ssvc.automatable = matches!(value.as_str(), "yes" | "no").then_some(value == "yes");
                ssvc.automatable.is_some()
            }
            "technicalimpact" => {
                ssvc.technical_impact = value_named(&value);
                ssvc.technical_impact.is_some()
            }
            _ => true,
        };
        if !is_known {
            notes.push(format!("ssvc: {point} is none of its values"));
        }
    }
    let any = ssvc.exploitation.is_some() || ssvc.automatable.is_some() || ssvc.technical_impact.is_some();
    any.then_some(ssvc)
}

fn value_named<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let deserializer: BorrowedStrDeserializer<'de, Error> = BorrowedStrDeserializer::new(text);
    T::deserialize(deserializer).ok()
}

/// Keeps letters only, in lower case.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::vulnerability::TechnicalImpact;

    #[test]
    fn both_spellings_say_the_same() {
        let cve = json!([{"Exploitation": "PoC"}, {"Automatable": "No"}, {"Technical Impact": "Total"}]);
        let nvd = json!([{"exploitation": "poc"}, {"automatable": "no"}, {"technicalImpact": "total"}]);
        let mut notes = vec![];
        let mut points =
            |value: &Value| decision_points(value.as_array().unwrap(), None, "CISA-ADP", &mut notes).unwrap();
        assert_eq!(points(&cve), points(&nvd));
        assert_eq!(points(&cve).technical_impact, Some(TechnicalImpact::Total));
        assert_eq!(notes, [""; 0]);
    }

    #[test]
    fn an_unknown_value_is_unknown_and_noted() {
        let mut notes = vec![];
        let options = json!([{"Exploitation": "rumoured"}, {"Automatable": "yes"}, {"Mission": 7}, "x"]);
        let ssvc = decision_points(options.as_array().unwrap(), Some("soon"), "CISA-ADP", &mut notes).unwrap();
        assert_eq!((ssvc.exploitation, ssvc.automatable, ssvc.technical_impact), (None, Some(true), None));
        assert_eq!(notes.len(), 2);
        assert_eq!(decision_points(&[], None, "CISA-ADP", &mut notes), None);
    }
}
