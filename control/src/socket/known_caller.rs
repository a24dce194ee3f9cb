//! Calls know who makes them.

use std::task::{Context, Poll};

use tokio::task::futures::TaskLocalFuture;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use crate::api::Caller;

/// A service whose calls know the process that makes them, for the log.
#[derive(Debug, Clone)]
pub(crate) struct KnownCaller<S>(pub(crate) S);

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for KnownCaller<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Caller, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The server puts what the connection says of itself beside each request.
        let caller = request.extensions().get::<Caller>().copied();
        caller.unwrap_or_default().makes(self.0.call(request))
    }
}

impl<S: NamedService> NamedService for KnownCaller<S> {
    const NAME: &'static str = S::NAME;
}
