//! Messages of the daemon in the words of the operator.

use prost::Message;
use proto::v1::Sentence;
use tonic::Status;
use tonic_types::pb;

use crate::api_words::typed;

/// The end of the type of a sentence in the details of a refusal, as `Any` names it.
const TYPE: &str = "/dpvs.v1.Sentence";

/// What a refusal says. `None` if it names nothing of the API, and says it in its message alone.
pub(crate) fn of_refusal(status: &Status) -> Option<String> {
    let details = pb::Status::decode(status.details()).ok()?.details;
    let sentence = details.iter().find(|any| any.type_url.ends_with(TYPE))?;
    of_bytes(&sentence.value)
}

/// What an encoded sentence says.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<String> {
    let sentence = Sentence::decode(bytes).ok()?;
    let parts = sentence.parts.iter();
    Some(
        parts
            .map(|part| match typed(&part.names) {
                Some(words) if !part.names.is_empty() => words,
                // A later version may name what this one has no word for.
                _ => part.text.clone(),
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proto::v1::{Name, Part};
    use tonic::Code;

    use super::*;
    use crate::CliError;

    fn part(text: &str, names: &[(&str, Option<&str>)]) -> Part {
        let names = names.iter().map(|(name, value)| Name {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
        });
        Part {
            text: text.to_owned(),
            names: names.collect(),
        }
    }

    fn refusal(parts: Vec<Part>) -> Status {
        let message: String = parts.iter().map(|part| &*part.text).collect();
        let details = pb::Status {
            code: Code::InvalidArgument.into(),
            message: message.clone(),
            details: vec![prost_types::Any {
                type_url: "type.googleapis.com/dpvs.v1.Sentence".into(),
                value: Sentence { parts }.encode_to_vec(),
            }],
        };
        Status::with_details(
            Code::InvalidArgument,
            message,
            details.encode_to_vec().into(),
        )
    }

    fn shown(parts: Vec<Part>) -> String {
        CliError::from(refusal(parts)).text
    }

    #[test]
    fn fields_become_flags_and_calls_commands() {
        let gives = vec![
            part("give ", &[]),
            part("`Dest.weight=0`", &[("Dest.weight", Some("0"))]),
            part(" beside ", &[]),
            part("`Dest.drain_s`", &[("Dest.drain_s", None)]),
        ];
        assert_eq!(shown(gives), "give -w 0 beside --drain");
        let deletes = [
            ("DelAddress", None),
            ("Address.address", Some("10.0.0.1")),
            ("Address.prefix_len", Some("24")),
            ("Address.device", Some("dpdk0")),
        ];
        assert_eq!(
            shown(vec![part("`DelAddress ...`", &deletes)]),
            "`dpip addr del 10.0.0.1/24 dev dpdk0`"
        );
        let names = [
            ("Dest.address", Some("2001:db8::1")),
            ("Dest.port", Some("80")),
        ];
        assert_eq!(
            shown(vec![part("`Dest.address=...`", &names)]),
            "-r [2001:db8::1]:80"
        );
    }

    #[test]
    fn what_a_later_daemon_names_stays_as_it_is() {
        let names = [("Dest.weight", Some("0")), ("Dest.colour", Some("red"))];
        let parts = vec![part("`Dest.weight=0 Dest.colour=red`", &names)];
        assert_eq!(shown(parts), "`Dest.weight=0 Dest.colour=red`");
        let garbage = Status::with_details(Code::Internal, "sentence", vec![0xff; 9].into());
        assert_eq!(CliError::from(garbage).text, "sentence");
    }
}
