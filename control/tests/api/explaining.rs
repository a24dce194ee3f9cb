//! Refusals say in their details what their messages name, to programs too.

use prost::Message;
use proto::v1;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::common::*;

/// What the details of a refusal name, with the values.
fn named(refusal: &Status) -> Vec<(String, Option<String>)> {
    let details = pb::Status::decode(refusal.details()).unwrap();
    assert_eq!(details.code, i32::from(refusal.code()));
    assert_eq!(details.message, refusal.message());
    assert_eq!(details.details.len(), 1, "{details:?}");
    let detail = &details.details[0];
    assert_eq!(detail.type_url, "type.googleapis.com/dpvs.v1.Sentence");
    let sentence = v1::Sentence::decode(&*detail.value).unwrap();
    let texts: Vec<_> = sentence.parts.iter().map(|part| &*part.text).collect();
    assert_eq!(texts.concat(), refusal.message());
    let names = sentence.parts.into_iter().flat_map(|part| part.names);
    names.map(|name| (name.name, name.value)).collect()
}

#[tokio::test]
async fn a_refusal_tells_programs_what_its_message_names() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let refusal = ipvs.del_service(key(VIP, 80)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    assert_eq!(named(&refusal), [("ListServices".to_owned(), None)]);
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    let mut draining = dest(VIP, 80, "192.168.100.2", 80);
    draining.dest.as_mut().unwrap().drain_s = 1;
    let change = v1::Change {
        change: Some(v1::change::Change::AddDest(draining)),
    };
    let refusal = ipvs.apply(tokio_stream::iter([change])).await.unwrap_err();
    assert!(
        refusal
            .message()
            .starts_with("change 1: dest 192.168.100.2: ")
    );
    let weight = ("Dest.weight".to_owned(), Some("0".to_owned()));
    assert_eq!(named(&refusal), [weight, ("Dest.drain_s".to_owned(), None)]);
}

#[tokio::test]
async fn a_refusal_that_names_nothing_has_no_details() {
    let director = director().await;
    let strange = service(VIP, 80, "fastest");
    let refusal = director
        .ipvs()
        .await
        .add_service(strange)
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(refusal.details().is_empty());
}
