//! "Did you mean": the name most like a word nobody knows.

/// The name among `valid` that is most like `word`, if one is like it at all.
pub fn nearest<'a>(word: &str, valid: &[&'a str]) -> Option<&'a str> {
    // Someone who wrote half of a name, or a name with more behind it, means that name.
    let is_part = |name: &str| {
        word.len() >= 2 && (name.starts_with(word) || (name.len() >= 2 && word.starts_with(name)))
    };
    let distance = |name: &str| strsim::damerau_levenshtein(word, name);
    valid
        .iter()
        .copied()
        .filter(|name| is_part(name) || distance(name) <= name.len() / 3)
        .min_by_key(|name| (!is_part(name), distance(name)))
}

/// `: did you mean 'X'?`, or nothing.
pub fn did_you_mean(word: &str, valid: &[&str]) -> String {
    nearest(word, valid)
        .map(|name| format!(": did you mean '{name}'?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        let valid = ["dev", "broadcast", "scope", "valid_lft", "preferred_lft"];
        for (word, meant) in [
            ("devv", Some("dev")),
            ("dve", Some("dev")),
            ("brodcast", Some("broadcast")),
            ("broad", Some("broadcast")),
            ("prefered_lft", Some("preferred_lft")),
            ("10.0.0.1", None),
            ("gateway", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &valid), meant, "{word}");
        }
        assert_eq!(did_you_mean("scop", &valid), ": did you mean 'scope'?");
        assert_eq!(did_you_mean("zzz", &valid), "");
    }
}
