//! Lists of English function words and of words of advisories.

/// Articles, pronouns, prepositions, conjunctions, auxiliaries and the commonest adverbs.
const FUNCTION: &str = "a about above after again against all also although always among an and another any are as at away be \
    because been before behind being below between both but by can cannot could did do does doing don't done down during each \
    either else even every few first for from further get gets give given gives go had hardly has have having he hence her here \
    his how however i if in inside instead into is isn't it its itself just least less let lets like long made make makes many \
    may me mean might more most much must my need needs neither never new next no nobody none nor not nothing now of off often \
    on once one only onto or other others our out outside over own per please put same see several she should since so some \
    somebody soon still such take than that the their them then there therefore these they this those though through thus till \
    to together too toward under unless until up upon us use used uses using very via was way we well were what whatever when \
    where whether which while who whoever whom whose why will with within without would yes yet you your";

/// Words of all advisories, which are not particular to a finding.
const GENERAL: &str = "abuse access advisory affect allow application apply arbitrary attack attacker automat availability available \
    avoid bug cause change client code common component computer consequence consider could critical current cve \
    cvss cwe damage danger data database debian defect describ detail detect develop developer due edit effect \
    environment error especially establish exampl execut execution exist expos exposed exposure exploit exploitation \
    external fact fail failure fault find finding fix fixed flaw follow found function harm high host identifi imag \
    impact important improper include information install installation installed instance internet issue item know \
    known large list local low machine malicious manag measur medium mitigat mitigation mode module monitor object \
    occur operat operator option order organization package part party patch person point possibl potential present \
    prevent problem process product production program project protect protection provid public rating reach reason \
    recommend recommendation red reduc refer release remain remediat remote remov replac report requir require \
    respons result review right risk root run runtime safe score script secur security sensitive serious server \
    service set severe severity simple software special specially specific start state status step successful supply \
    support system target task team tell test third threat time tool trigger trust trusted understand update upgrade \
    user valu value vector vendor verify version vulnerability vulnerabl vulnerable weakness work workaround \
    workload world wrong";

/// Technical terms of many advisories, which are particular to a finding if its facts have them.
const TECHNICAL: &str = "account action address admin administrator archive argument artifact authenticate authentication base behavior \
    behaviour binary block browser buffer build bypass call check class command condition confidentiality configur \
    configuration connection container content control corrupt crafted crash create credential default denial depend \
    dependency deploy deployment device disclos disk distribution document download endpoint engine engineer event \
    extract feature field file format gain group handle header http https image incorrect influence input integrity \
    internal kernel key leak length level library limit line linux load log maintain memory message method name \
    network number open output overflow parameter parser password path policy privilege property protocol proxy \
    publish python query read receive record redirect repository request resource restart restrict rule scan send \
    show stack stop store string text traffic transfer type unauthenticated unauthorized uninstall untrusted \
    upstream url valid validat validation web website write";

/// Tells whether `word` is an entry of a list with blanks.
pub(super) fn list_has(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|entry| entry == word)
}

/// Recognises a function word.
pub(super) fn is_function(word: &str) -> bool {
    list_has(FUNCTION, word)
}

/// Recognises the [`stem`] of a function word or of a word of any advisory.
pub(super) fn is_general(stem: &str) -> bool {
    is_function(stem) || has_stem(GENERAL, stem)
}

/// Recognises the [`stem`] of a technical term.
pub(super) fn is_technical(stem: &str) -> bool {
    has_stem(GENERAL, stem) || has_stem(TECHNICAL, stem)
}

fn has_stem(list: &str, stem: &str) -> bool {
    list.split_ascii_whitespace().any(|entry| self::stem(entry) == stem)
}

/// Removes an English ending, roughly: `requests`, `requested` and `requesting` have one stem.
pub(super) fn stem(word: &str) -> &str {
    const ENDINGS: [&str; 11] = ["ations", "ation", "ingly", "ings", "ing", "ers", "ies", "ed", "es", "er", "ly"];
    let bare = ENDINGS
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(|stem| stem.len() >= 4))
        .or_else(|| word.strip_suffix('s').filter(|stem| stem.len() >= 3))
        .unwrap_or(word);
    bare.strip_suffix(['e', 'y']).filter(|stem| stem.len() >= 3).unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [["requests", "requested", "requesting"], ["redirects", "redirected", "redirecting"]] {
            assert!(forms.iter().all(|form| stem(form) == stem(forms[0])), "{forms:?}");
        }
        assert!(is_general(stem("vulnerabilities")) && is_general(stem("attackers")) && !is_general(stem("bananas")));
    }
}
