//! "Did you mean": the known name that is most like an unknown word.

/// The name in `valid` that is most like `word`; `None` if no name is similar.
pub fn nearest<'a>(word: &str, valid: &[&'a str]) -> Option<&'a str> {
    // A word that is the beginning of a name, or begins with a name, means that name.
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

/// `: did you mean 'X'?`, or an empty text if no name in `valid` is similar to `word`.
pub fn did_you_mean(word: &str, valid: &[&str]) -> String {
    nearest(word, valid)
        .map(|name| format!(": did you mean '{name}'?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognized_and_an_unrelated_one_is_not() {
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
