//! The gRPC services: one file per noun, each a thin translation.

mod access;
mod address;
mod caller;
mod change;
mod convert;
mod done;
mod ipvs;
mod ipvs_list;
mod link;
mod memory;
mod neighbour;
mod options;
mod request_message;
mod route;
mod scheduler;
mod sentence;
mod status;

pub(crate) use caller::Caller;
pub(crate) use sentence::sentence;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;

use crate::publish::Control;

/// Changes that all `Apply` calls together may hold: some 300 MB.
const MOST_CHANGES: usize = 4_000_000;

pub(super) type BoxStream<T> =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// Serves every noun.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    control: Arc<Control>,
    room_for_changes: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self {
            control,
            room_for_changes: Arc::new(Semaphore::new(MOST_CHANGES)),
        }
    }
}
