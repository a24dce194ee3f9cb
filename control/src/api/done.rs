//! The answer to a change: it comes when all workers obey.

use prost::Message;
use proto::v1;
use tonic::Response;
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue};

use super::{Api, sentence};

/// The key of a warning in the metadata of an answer.
const WARNING: &str = "dpvs-warning";
/// The key of the same warning as a [`v1::Sentence`].
const WARNING_PARTS: &str = "dpvs-warning-bin";

impl Api {
    /// The answer to a change that was made, once all workers forward by it. If a worker takes too
    /// long, the metadata of the answer has a warning that names it.
    pub(super) async fn done(&self) -> Response<v1::Empty> {
        let mut answer = Response::new(v1::Empty {});
        let late = self.control.until_workers_obey().await;
        if late.is_empty() {
            return answer;
        }
        let names: Vec<_> = late.iter().map(|lcore| format!("cpu{lcore}")).collect();
        let late = format!(
            "the change was made, and worker {} does not forward by it yet: is its CPU taken?",
            names.join(", ")
        );
        tracing::warn!("{late}");
        let warning = format!(
            "{late} (`ListWorkers ListWorkersRequest.name={}`)",
            names[0]
        );
        if let Some(parts) = sentence(&warning) {
            let parts = BinaryMetadataValue::from_bytes(&parts.encode_to_vec());
            answer.metadata_mut().insert_bin(WARNING_PARTS, parts);
        }
        if let Ok(warning) = AsciiMetadataValue::try_from(warning) {
            answer.metadata_mut().insert(WARNING, warning);
        }
        answer
    }
}
