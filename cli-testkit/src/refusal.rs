//! Refusals as the daemon makes them, with what their messages name.

use prost::Message;
use proto::v1::{Name, Part, Sentence};
use tonic::{Code, Status};
use tonic_types::pb;

/// Text of a message, or names with their values.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// What names nothing of the API.
    Text(&'a str),
    /// A call, fields, values of enums; an empty value for none.
    Names(&'a [(&'a str, &'a str)]),
}

impl Piece<'_> {
    fn part(&self) -> Part {
        let named = match self {
            Self::Text(text) => {
                let (text, names) = ((*text).to_owned(), Vec::new());
                return Part { text, names };
            }
            Self::Names(named) => *named,
        };
        let shown = named.iter().map(|(name, value)| match *value {
            "" => (*name).to_owned(),
            value => format!("{name}={value}"),
        });
        let text = format!("`{}`", shown.collect::<Vec<_>>().join(" "));
        let names = named.iter().map(|(name, value)| Name {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()).filter(|value| !value.is_empty()),
        });
        let names = names.collect();
        Part { text, names }
    }
}

/// A refusal with a message of these pieces.
pub fn refusal(code: Code, pieces: &[Piece<'_>]) -> Status {
    let parts: Vec<_> = pieces.iter().map(Piece::part).collect();
    let message: String = parts.iter().map(|part| &*part.text).collect();
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/dpvs.v1.Sentence".to_owned(),
        value: Sentence { parts }.encode_to_vec(),
    };
    let details = pb::Status {
        code: code.into(),
        message: message.clone(),
        details: vec![detail],
    };
    Status::with_details(code, message, details.encode_to_vec().into())
}
