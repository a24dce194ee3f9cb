//! The answer to a change: it comes when all workers obey.

use proto::v1;
use tonic::Response;
use tonic::metadata::AsciiMetadataValue;

use super::Api;

/// The key of a warning in the metadata of an answer.
const WARNING: &str = "dpvs-warning";

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
        let warning = format!(
            "the change was made, and worker {} does not forward by it yet: is its CPU taken? \
             (`dpip -s link show {}`)",
            names.join(", "),
            names[0]
        );
        tracing::warn!("{warning}");
        if let Ok(warning) = AsciiMetadataValue::try_from(warning) {
            answer.metadata_mut().insert(WARNING, warning);
        }
        answer
    }
}
