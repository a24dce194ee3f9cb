//! Messages in parts: what they name of the API is told from what is around it.
//!
//! Messages name calls, fields and values of enums as the `.proto` files do, in backticks:
//! ``give `Dest.weight=0` beside `Dest.drain_s` ``. A client that has other words for them, such as
//! `ipvsadm-rs` with its flags, puts those in their place.

use proto::v1;

/// A message in parts. `None` if it names nothing of the API.
pub(crate) fn sentence(message: &str) -> Option<v1::Sentence> {
    let mut parts = Vec::new();
    let mut rest = message;
    // A backtick that begins no name, such as one in the name of a device, is text.
    let mut search_from = 0;
    while let Some(start) = rest[search_from..].find('`').map(|at| at + search_from) {
        let Some((quoted, _)) = rest[start + 1..].split_once('`') else {
            break;
        };
        let Some(names) = names(quoted) else {
            search_from = start + 1;
            continue;
        };
        let end = start + quoted.len() + 2;
        parts.push(part(&rest[..start], Vec::new()));
        parts.push(part(&rest[start..end], names));
        (rest, search_from) = (&rest[end..], 0);
    }
    parts.push(part(rest, Vec::new()));
    let names_any = parts.len() > 1;
    parts.retain(|part| !part.text.is_empty());
    names_any.then_some(v1::Sentence { parts })
}

fn part(text: &str, names: Vec<v1::Name>) -> v1::Part {
    let text = text.to_owned();
    v1::Part { text, names }
}

/// Names with or without a value; `None` if one of the words is not a name.
fn names(quoted: &str) -> Option<Vec<v1::Name>> {
    let name = |word: &str| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
            && name
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "_.".contains(char));
        is_name.then(|| v1::Name {
            name: name.to_owned(),
            value,
        })
    };
    quoted.split(' ').map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a message, with their values.
    fn named(message: &str) -> Vec<String> {
        let Some(sentence) = sentence(message) else {
            return Vec::new();
        };
        let texts: Vec<_> = sentence.parts.iter().map(|part| &*part.text).collect();
        assert_eq!(texts.concat(), message, "nothing is lost");
        let names = sentence.parts.iter().flat_map(|part| &part.names);
        names
            .map(|name| match &name.value {
                Some(value) => format!("{} is {value}", name.name),
                None => name.name.clone(),
            })
            .collect()
    }

    #[test]
    fn calls_fields_and_their_values_are_told_from_the_text_around_them() {
        assert_eq!(
            named("give `Dest.weight=0` beside `Dest.drain_s`"),
            ["Dest.weight is 0", "Dest.drain_s"]
        );
        assert_eq!(
            named("`DelAddress Address.address=fd00::1 Address.device=dpdk0` first"),
            [
                "DelAddress",
                "Address.address is fd00::1",
                "Address.device is dpdk0"
            ]
        );
        assert!(named("nothing is named").is_empty());
    }

    #[test]
    fn a_backtick_in_somebody_s_word_hides_no_name() {
        for word in ["`", "a`b", "``", "`x y`", "`ls`"] {
            let message = format!("no device '{word}': `ListLinks` lists them");
            assert_eq!(named(&message), ["ListLinks"], "{message}");
        }
    }
}
