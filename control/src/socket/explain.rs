//! Refusals say in their details what their messages name.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message;
use tonic::Status;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic_types::pb;

use crate::api::sentence;

/// The type of the details of a refusal, as `Any` names it.
const TYPE_URL: &str = "type.googleapis.com/dpvs.v1.Sentence";

/// A service whose refusals have details, if their messages name anything of the API.
#[derive(Debug, Clone)]
pub(crate) struct Explain<S>(pub(crate) S);

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S, B, Body> Service<http::Request<B>> for Explain<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async {
            let mut answer = answer.await?;
            // A refusal is all headers: there is nothing to stream.
            let headers = answer.headers_mut();
            let refusal = Status::from_header_map(headers);
            if let Some(explained) = refusal.as_ref().and_then(explained) {
                // What is already there is the same, but for the details. On an error, which has
                // no cause here, the refusal goes as it was.
                let _ = explained.add_header(headers);
            }
            Ok(answer)
        })
    }
}

/// The refusal with details.
fn explained(refusal: &Status) -> Option<Status> {
    let sentence = sentence(refusal.message())?;
    let details = pb::Status {
        code: refusal.code().into(),
        message: refusal.message().to_owned(),
        details: vec![prost_types::Any {
            type_url: TYPE_URL.to_owned(),
            value: sentence.encode_to_vec(),
        }],
    };
    Some(Status::with_details(
        refusal.code(),
        refusal.message(),
        details.encode_to_vec().into(),
    ))
}

impl<S: NamedService> NamedService for Explain<S> {
    const NAME: &'static str = S::NAME;
}

#[cfg(test)]
mod tests;
