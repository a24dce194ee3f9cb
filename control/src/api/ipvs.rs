//! `ipvsadm-rs`: changes of services, dests, local addresses and timeouts.

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::change::Change as Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::caller::log_change;
use super::change::{ChangeLog, Wanted, wanted};
use super::{Api, BoxStream, convert};

/// The longest pause between two changes of a transaction.
const NEXT_CHANGE_WITHIN: Duration = Duration::from_secs(30);

type Done = Result<Response<v1::Empty>, Status>;

#[tonic::async_trait]
impl v1::ipvs_service_server::IpvsService for Api {
    type ListServicesStream = BoxStream<v1::VirtualService>;
    type ListAccessStream = BoxStream<v1::AccessEntry>;
    type ListConnsStream = BoxStream<v1::Conn>;

    async fn add_service(&self, request: Request<v1::VirtualService>) -> Done {
        self.change(Message::AddService(request.into_inner())).await
    }

    async fn edit_service(&self, request: Request<v1::VirtualService>) -> Done {
        self.change(Message::EditService(request.into_inner()))
            .await
    }

    async fn del_service(&self, request: Request<v1::ServiceKey>) -> Done {
        self.change(Message::DelService(request.into_inner())).await
    }

    async fn flush_services(&self, _: Request<v1::Empty>) -> Done {
        let flush = self.control.write_all(|desired, _| {
            desired.flush_services();
            Ok(())
        });
        flush.await?;
        log_change("all services removed");
        Ok(self.done().await)
    }

    async fn list_services(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<Self::ListServicesStream>, Status> {
        let request = request.get_ref();
        let key = convert::optional_service_key(request.key.as_ref())?;
        let services = self.services(key, request.with_removed)?;
        Ok(Response::new(services))
    }

    async fn zero_counters(&self, request: Request<v1::ZeroCountersRequest>) -> Done {
        let key = convert::optional_service_key(request.get_ref().key.as_ref())?;
        let zero = self.control.write_all(move |desired, rates| {
            Ok(desired.zero_counters(key.as_ref(), |id| rates.counts(id))?)
        });
        zero.await?;
        match key {
            Some(key) => log_change(format_args!("service {key}: counters set to zero")),
            None => log_change("all counters set to zero"),
        }
        Ok(self.done().await)
    }

    async fn add_dest(&self, request: Request<v1::DestRequest>) -> Done {
        self.change(Message::AddDest(request.into_inner())).await
    }

    async fn edit_dest(&self, request: Request<v1::DestRequest>) -> Done {
        self.change(Message::EditDest(request.into_inner())).await
    }

    async fn del_dest(&self, request: Request<v1::DestRequest>) -> Done {
        self.change(Message::DelDest(request.into_inner())).await
    }

    async fn add_laddr(&self, request: Request<v1::LaddrRequest>) -> Done {
        self.change(Message::AddLaddr(request.into_inner())).await
    }

    async fn del_laddr(&self, request: Request<v1::LaddrRequest>) -> Done {
        self.change(Message::DelLaddr(request.into_inner())).await
    }

    async fn add_access(&self, request: Request<v1::AccessEntry>) -> Done {
        self.change(Message::AddAccess(request.into_inner())).await
    }

    async fn del_access(&self, request: Request<v1::AccessEntry>) -> Done {
        self.change(Message::DelAccess(request.into_inner())).await
    }

    async fn list_access(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<Self::ListAccessStream>, Status> {
        let key = convert::optional_service_key(request.get_ref().key.as_ref())?;
        Ok(Response::new(self.access(key)?))
    }

    async fn list_conns(
        &self,
        request: Request<v1::ListConnsRequest>,
    ) -> Result<Response<Self::ListConnsStream>, Status> {
        Ok(Response::new(self.conns(request.get_ref())?))
    }

    async fn get_timeouts(&self, _: Request<v1::Empty>) -> Result<Response<v1::Timeouts>, Status> {
        let timeouts = self.control.read(|state| state.desired.timeouts);
        Ok(Response::new(convert::timeouts_message(&timeouts)))
    }

    async fn set_timeouts(&self, request: Request<v1::Timeouts>) -> Done {
        self.change(Message::SetTimeouts(request.into_inner()))
            .await
    }

    async fn apply(&self, request: Request<Streaming<v1::Change>>) -> Done {
        let (changes, _room) = self.receive(request.into_inner()).await?;
        let (log, logged) = oneshot::channel();
        let apply = self.control.write_all(move |desired, rates| {
            let mut made = ChangeLog::default();
            for (change, number) in changes.into_iter().zip(1..) {
                let change = change.complete(desired);
                change
                    .and_then(|change| {
                        made.note(&change);
                        Ok(desired.carry_out(change, rates)?)
                    })
                    .map_err(|status| numbered(number, &status))?;
            }
            // The receiver is there until this is done.
            let _ = log.send(made.lines());
            Ok(())
        });
        apply.await?;
        let lines = logged.await.unwrap_or_default();
        lines.iter().for_each(log_change);
        Ok(self.done().await)
    }

    async fn get_version(&self, _: Request<v1::Empty>) -> Result<Response<v1::Version>, Status> {
        let mut numbers = env!("CARGO_PKG_VERSION")
            .split('.')
            .map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Ok(Response::new(v1::Version {
            major: next(),
            minor: next(),
            patch: next(),
        }))
    }
}

impl Api {
    async fn change(&self, message: Message) -> Done {
        let wanted = wanted(message)?;
        let made = self.control.write(|state| {
            let change = wanted.complete(&state.desired)?;
            let mut made = ChangeLog::default();
            made.note(&change);
            state.desired.carry_out(change, &self.control.rates)?;
            Ok::<_, Status>(made.lines())
        });
        made.await?.iter().for_each(log_change);
        Ok(self.done().await)
    }

    /// Receives all changes of a transaction, and the permits for the memory that they take.
    async fn receive(
        &self,
        mut stream: Streaming<v1::Change>,
    ) -> Result<(Vec<Wanted>, Option<OwnedSemaphorePermit>), Status> {
        let mut changes = Vec::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        loop {
            let next = tokio::time::timeout(NEXT_CHANGE_WITHIN, stream.next()).await;
            let next = next.map_err(|_| {
                Status::deadline_exceeded("no change came for 30 seconds: nothing was changed")
            })?;
            let Some(message) = next else {
                return Ok((changes, room));
            };
            let permit = Arc::clone(&self.room_for_changes)
                .try_acquire_owned()
                .map_err(|_| {
                    Status::resource_exhausted(format!(
                        "{} changes are being sent at once, which is the most: send them in parts",
                        super::MOST_CHANGES
                    ))
                })?;
            match &mut room {
                Some(room) => room.merge(permit),
                None => room = Some(permit),
            }
            let change = message?
                .change
                .ok_or_else(|| Status::invalid_argument("a change without content"))
                .and_then(wanted)
                .map_err(|status| numbered(changes.len() + 1, &status))?;
            changes.push(change);
        }
    }
}

/// Names the change of a transaction that was refused, by its number.
fn numbered(number: usize, status: &Status) -> Status {
    Status::new(
        status.code(),
        format!("change {number}: {}", status.message()),
    )
}
