//! `ipvsadm-rs -U -V -B -O -Y -W`: deny and allow lists.

use std::sync::Arc;

use inet::Prefix;
use ipvs_core::ServiceKey;
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::convert::field;
use super::{Api, BoxStream, convert};

/// Entries that are made ahead of the client.
const AHEAD: usize = 256;

impl Api {
    /// Both lists of one service, or of all.
    pub(super) fn access(
        &self,
        key: Option<ServiceKey>,
    ) -> Result<BoxStream<v1::AccessEntry>, Status> {
        // Copying a list copies a pointer.
        let lists: Vec<_> = self.control.read(|state| {
            let one = key.map(|key| state.desired.service(&key).map(|service| vec![service]));
            let services = match one {
                Some(one) => one?,
                None => state.desired.services.values().map(Arc::as_ref).collect(),
            };
            let lists = services
                .into_iter()
                .map(|service| (service.request.key, service.access.clone()));
            Ok::<_, Status>(lists.collect())
        })?;
        let (send, receive) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            for (key, access) in lists {
                for (name, list) in [
                    (v1::AccessList::Deny, access.deny),
                    (v1::AccessList::Allow, access.allow),
                ] {
                    let mut prefixes: Vec<Prefix> =
                        list.iter().flat_map(|list| list.iter()).collect();
                    prefixes.sort_unstable_by_key(|prefix| (prefix.addr(), prefix.prefix_len()));
                    for prefix in prefixes {
                        if send.send(Ok(message(&key, name, prefix))).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(receive)))
    }
}

fn message(key: &ServiceKey, list: v1::AccessList, prefix: Prefix) -> v1::AccessEntry {
    v1::AccessEntry {
        service: Some(convert::service_key_message(key)),
        list: list.into(),
        address: Some(field::ip_message(prefix.addr())),
        prefix_len: Some(prefix.prefix_len().into()),
    }
}
