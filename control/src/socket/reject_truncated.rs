//! Refuses requests that were cut off.

use std::task::{Context, Poll};

use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

/// A service whose streams of requests end where the client ended them, or with an error.
///
/// tonic takes a stream that the client cancelled for one that is complete, so half of an `Apply`
/// would look like a whole one.
#[derive(Debug, Clone)]
pub(crate) struct RejectTruncated<S>(pub(crate) S);

/// An error other than a cancellation, which tonic would swallow.
#[derive(Debug, thiserror::Error)]
#[error("the request was cut off: {0}")]
pub(crate) struct Truncated(String);

impl From<Status> for Truncated {
    fn from(status: Status) -> Self {
        Self(status.message().to_owned())
    }
}

type TruncationBody = MapErr<Body, fn(Status) -> Truncated>;

impl<S: Service<http::Request<TruncationBody>>> Service<http::Request<Body>>
    for RejectTruncated<S>
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0
            .call(request.map(|body| body.map_err(Truncated::from as fn(Status) -> Truncated)))
    }
}

impl<S: NamedService> NamedService for RejectTruncated<S> {
    const NAME: &'static str = S::NAME;
}
