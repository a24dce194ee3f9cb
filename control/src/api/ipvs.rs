//! `ipvsadm-rs`: changes of services, dests, local addresses and timeouts.

use std::pin::Pin;
use std::sync::Arc;

use ipvs_core::{TcpState, WorkerStats};
use proto::v1;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Api, convert};
use crate::control::baseline_of;
use crate::counters::counts_of;
use crate::desired::{Desired, DestEntry};

/// Changes that one `Apply` may carry.
const MOST_CHANGES: usize = 4_000_000;

pub(super) type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::ipvs_service_server::IpvsService for Api {
    type ListServicesStream = BoxStream<v1::VirtualService>;
    type ListConnsStream = BoxStream<v1::Conn>;

    async fn add_service(
        &self,
        request: Request<v1::VirtualService>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::AddService(request.into_inner()))
    }

    async fn edit_service(
        &self,
        request: Request<v1::VirtualService>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::EditService(request.into_inner()))
    }

    async fn del_service(
        &self,
        request: Request<v1::ServiceKey>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::DelService(request.into_inner()))
    }

    async fn flush_services(&self, _: Request<v1::Empty>) -> Result<Response<v1::Empty>, Status> {
        self.control.write(|state| {
            state.desired.flush_services();
            Ok::<_, Status>(())
        })?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn list_services(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<Self::ListServicesStream>, Status> {
        let key = request
            .get_ref()
            .key
            .as_ref()
            .map(|key| convert::service_key(Some(key)))
            .transpose()?;
        Ok(Response::new(self.services(key)?))
    }

    async fn zero_counters(
        &self,
        request: Request<v1::ZeroCountersRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let key = request
            .get_ref()
            .key
            .as_ref()
            .map(|key| convert::service_key(Some(key)))
            .transpose()?;
        let workers = &self.control.worker_stats;
        self.control.write(|state| {
            if let Some(key) = &key {
                state.desired.service(key)?;
            }
            let services = state.desired.services.values_mut();
            for service in
                services.filter(|service| key.is_none_or(|key| service.request.key == key))
            {
                service.removed = crate::counters::Counts::default();
                for dest in &mut service.dests {
                    dest.baseline.zero = counts_of(workers, dest.id);
                }
            }
            Ok::<_, Status>(())
        })?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn add_dest(
        &self,
        request: Request<v1::DestRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::AddDest(request.into_inner()))
    }

    async fn edit_dest(
        &self,
        request: Request<v1::DestRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::EditDest(request.into_inner()))
    }

    async fn del_dest(
        &self,
        request: Request<v1::DestRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::DelDest(request.into_inner()))
    }

    async fn add_laddr(
        &self,
        request: Request<v1::LaddrRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::AddLaddr(request.into_inner()))
    }

    async fn del_laddr(
        &self,
        request: Request<v1::LaddrRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        self.change(v1::change::Change::DelLaddr(request.into_inner()))
    }

    async fn list_conns(
        &self,
        request: Request<v1::ListConnsRequest>,
    ) -> Result<Response<Self::ListConnsStream>, Status> {
        Ok(Response::new(self.conns(request.get_ref())?))
    }

    async fn get_timeouts(&self, _: Request<v1::Empty>) -> Result<Response<v1::Timeouts>, Status> {
        let timeouts = self.control.read(|state| state.desired.timeouts);
        Ok(Response::new(v1::Timeouts {
            tcp_s: timeouts.tcp_s[TcpState::Established as usize],
            tcp_fin_s: timeouts.tcp_s[TcpState::FinWait as usize],
            udp_s: timeouts.udp_s,
        }))
    }

    async fn set_timeouts(
        &self,
        request: Request<v1::Timeouts>,
    ) -> Result<Response<v1::Empty>, Status> {
        let wanted = *request.get_ref();
        if [wanted.tcp_s, wanted.tcp_fin_s, wanted.udp_s]
            .iter()
            .any(|secs| *secs > u32::from(u16::MAX))
        {
            return Err(Status::invalid_argument(
                "timeouts are at most 65535 seconds",
            ));
        }
        self.control.write(|state| {
            let timeouts = &mut state.desired.timeouts;
            let fields = [
                (
                    wanted.tcp_s,
                    &mut timeouts.tcp_s[TcpState::Established as usize],
                ),
                (wanted.udp_s, &mut timeouts.udp_s),
            ];
            for (secs, field) in fields.into_iter().filter(|(secs, _)| *secs != 0) {
                *field = secs;
            }
            if wanted.tcp_fin_s != 0 {
                timeouts.tcp_s[TcpState::FinWait as usize] = wanted.tcp_fin_s;
            }
            state.desired.dirty.timeouts = true;
            Ok::<_, Status>(())
        })?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn apply(
        &self,
        request: Request<Streaming<v1::Change>>,
    ) -> Result<Response<v1::Empty>, Status> {
        let mut stream = request.into_inner();
        let mut changes = Vec::new();
        while let Some(change) = stream.next().await {
            if changes.len() == MOST_CHANGES {
                return Err(Status::resource_exhausted(format!(
                    "at most {MOST_CHANGES} changes at once"
                )));
            }
            changes.push(
                change?
                    .change
                    .ok_or_else(|| Status::invalid_argument("a change without content"))?,
            );
        }
        let workers = &self.control.worker_stats;
        self.control.write_all(|desired| {
            changes
                .into_iter()
                .zip(1..)
                .try_for_each(|(change, number)| {
                    carry_out(desired, workers, change).map_err(|status| {
                        Status::new(
                            status.code(),
                            format!("change {number}: {}", status.message()),
                        )
                    })
                })
        })?;
        Ok(Response::new(v1::Empty {}))
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
    fn change(&self, change: v1::change::Change) -> Result<Response<v1::Empty>, Status> {
        let workers = &self.control.worker_stats;
        self.control
            .write(|state| carry_out(&mut state.desired, workers, change))?;
        Ok(Response::new(v1::Empty {}))
    }
}

/// One change of the desired state; refused, it leaves no trace.
fn carry_out(
    desired: &mut Desired,
    workers: &[Arc<WorkerStats>],
    change: v1::change::Change,
) -> Result<(), Status> {
    use v1::change::Change;
    match change {
        Change::AddService(message) => desired.add_service(convert::service(&message)?)?,
        Change::EditService(message) => desired.edit_service(convert::service(&message)?)?,
        Change::DelService(key) => desired.del_service(&convert::service_key(Some(&key))?)?,
        Change::AddDest(message) => {
            let (key, dest) = dest_request(&message)?;
            desired.add_dest(&key, dest, |id| baseline_of(workers, id))?;
        }
        Change::EditDest(message) => {
            let (key, dest) = dest_request(&message)?;
            desired.edit_dest(&key, dest)?;
        }
        Change::DelDest(message) => {
            let key = convert::service_key(message.service.as_ref())?;
            let dest = message.dest.unwrap_or_default();
            let addr = convert::ip(dest.address.as_ref(), "real server")?;
            let counts = |dest: &DestEntry| counts_of(workers, dest.id) - dest.baseline.zero;
            desired.del_dest(&key, addr, convert::port(dest.port, "port")?, counts)?;
        }
        Change::AddLaddr(message) => {
            let (key, addr, device) = laddr_request(&message)?;
            desired.add_laddr(&key, addr, &device)?;
        }
        Change::DelLaddr(message) => {
            let (key, addr, _) = laddr_request(&message)?;
            desired.del_laddr(&key, addr)?;
        }
    }
    Ok(())
}

fn dest_request(
    message: &v1::DestRequest,
) -> Result<(ipvs_core::ServiceKey, crate::desired::DestRequest), Status> {
    Ok((
        convert::service_key(message.service.as_ref())?,
        convert::dest(message.dest.as_ref())?,
    ))
}

fn laddr_request(
    message: &v1::LaddrRequest,
) -> Result<(ipvs_core::ServiceKey, std::net::IpAddr, String), Status> {
    let key = convert::service_key(message.service.as_ref())?;
    let laddr = message
        .laddr
        .as_ref()
        .ok_or_else(|| Status::invalid_argument("name the local address: -z LIP"))?;
    Ok((
        key,
        convert::ip(laddr.address.as_ref(), "local address")?,
        laddr.device.clone(),
    ))
}
