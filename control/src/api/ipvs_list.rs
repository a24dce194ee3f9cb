//! `ipvsadm-rs`: lists. Long lists are made and sent piece by piece.

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{ConnInfo, ConnPage, ServiceKey, Thresholds};
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::BoxStream;
use super::convert::field;
use super::{Api, convert, request_message};
use crate::desired::{
    DestEntry, LaddrUse, Leaving, LeavingUse, RemovedService, ServiceEntry, ServiceError,
};
use crate::publish::Control;
use crate::publish::State;
use crate::telemetry::Counts;
use crate::telemetry::Rates;

/// Services made into messages under one lock.
const SERVICES_AT_ONCE: usize = 16;
/// Conns of one page.
const CONNS_AT_ONCE: usize = 256;
/// Messages that are made ahead of the client. A service's message is as long as it has dests.
const SERVICES_AHEAD: usize = 8;
/// Conns that are made ahead of the client.
const CONNS_AHEAD: usize = 256;

/// A filter of conns.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    service: Option<ServiceKey>,
    client: Option<IpAddr>,
    client_port: u16,
}

impl Wanted {
    fn matches(&self, conn: &ConnInfo) -> bool {
        self.service.is_none_or(|key| conn.is_of(&key))
            && self.client.is_none_or(|addr| conn.caddr.0 == addr)
            && (self.client_port == 0 || conn.caddr.1 == self.client_port)
    }
}

impl Api {
    /// One service, or all in the order they were made. Removed ones follow if they are asked for.
    pub(super) fn services(
        &self,
        key: Option<ServiceKey>,
        with_removed: bool,
    ) -> Result<BoxStream<v1::VirtualService>, Status> {
        let keys = self
            .control
            .read(|state| keys_of(state, key, with_removed))?;
        let control = Arc::clone(&self.control);
        let (send, receive) = mpsc::channel(SERVICES_AHEAD);
        tokio::spawn(async move {
            for keys in keys.chunks(SERVICES_AT_ONCE) {
                // A service that was removed meanwhile is not shown.
                let messages: Vec<_> = control.read(|state| {
                    let message = |key| message_of(&control.rates, state, key, with_removed);
                    keys.iter().filter_map(message).collect()
                });
                for message in messages {
                    if send.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(receive)))
    }

    /// Conns of all workers, page by page.
    pub(super) fn conns(
        &self,
        request: &v1::ListConnsRequest,
    ) -> Result<BoxStream<v1::Conn>, Status> {
        let wanted = Wanted {
            service: request
                .service
                .as_ref()
                .map(|key| convert::service_key(Some(key)))
                .transpose()?,
            client: field::optional_ip(request.client.as_ref(), "client")?,
            client_port: field::port(request.client_port, "client port")?,
        };
        let lcores: Vec<u32> = self
            .control
            .read(|state| state.workers.handles().map(|worker| worker.lcore).collect());
        let lcore_wanted = request.lcore;
        if let Some(lcore) = lcore_wanted.filter(|lcore| !lcores.contains(lcore)) {
            return Err(self.no_worker(&format!("cpu{lcore}")));
        }
        let control = Arc::clone(&self.control);
        let (send, receive) = mpsc::channel(CONNS_AHEAD);
        tokio::spawn(async move {
            for (worker, lcore) in lcores.into_iter().enumerate() {
                if lcore_wanted.is_some_and(|wanted| wanted != lcore) {
                    continue;
                }
                if send_conns(&control, worker, lcore, wanted, &send)
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(receive)))
    }
}

/// The client has disconnected.
struct Gone;

async fn send_conns(
    control: &Control,
    worker: usize,
    lcore: u32,
    wanted: Wanted,
    send: &mpsc::Sender<Result<v1::Conn, Status>>,
) -> Result<(), Gone> {
    let mut page = Box::new(ConnPage {
        conns: Vec::with_capacity(CONNS_AT_ONCE),
        ..ConnPage::default()
    });
    while !page.done {
        let Some(answer) = control.conn_page(worker, page).await else {
            let status = Status::deadline_exceeded(format!(
                "worker cpu{lcore} does not answer: is its CPU taken?"
            ));
            return send.send(Err(status)).await.map_err(|_| Gone);
        };
        page = answer;
        for conn in page.conns.iter().filter(|conn| wanted.matches(conn)) {
            send.send(Ok(conn_message(lcore, conn)))
                .await
                .map_err(|_| Gone)?;
        }
    }
    Ok(())
}

fn conn_message(lcore: u32, conn: &ConnInfo) -> v1::Conn {
    let addr = |end: (IpAddr, u16)| Some(field::ip_message(end.0));
    v1::Conn {
        lcore,
        protocol: convert::protocol_message(conn.protocol).into(),
        expires_in_s: conn.expires_in_s,
        state: conn.state.to_owned(),
        caddr: addr(conn.caddr),
        cport: conn.caddr.1.into(),
        vaddr: addr(conn.vaddr),
        vport: conn.vaddr.1.into(),
        laddr: addr(conn.laddr),
        lport: conn.laddr.1.into(),
        daddr: addr(conn.daddr),
        dport: conn.daddr.1.into(),
    }
}

/// One service, or all.
fn keys_of(
    state: &State,
    key: Option<ServiceKey>,
    with_removed: bool,
) -> Result<Vec<ServiceKey>, ServiceError> {
    let desired = &state.desired;
    let removed = with_removed.then_some(&desired.removed_services);
    if let Some(key) = key {
        let is_removed = removed.is_some_and(|removed| removed.contains_key(&key));
        return match desired.service(&key) {
            Err(missing) if !is_removed => Err(missing),
            _ => Ok(vec![key]),
        };
    }
    let mut removed: Vec<ServiceKey> = removed
        .into_iter()
        .flat_map(|removed| removed.keys())
        .copied()
        .collect();
    removed.sort_unstable();
    Ok(desired.services.keys().copied().chain(removed).collect())
}

/// A service, or one that was removed and whose conns go on.
fn message_of(
    rates: &Rates,
    state: &State,
    key: &ServiceKey,
    with_removed: bool,
) -> Option<v1::VirtualService> {
    if let Ok(service) = state.desired.service(key) {
        return Some(service_message(rates, state, service));
    }
    let removed = state.desired.removed_services.get(key);
    removed_message(rates, state, key, removed.filter(|_| with_removed)?)
}

/// A removed service. `None` if no conn of it goes on.
fn removed_message(
    rates: &Rates,
    state: &State,
    key: &ServiceKey,
    service: &RemovedService,
) -> Option<v1::VirtualService> {
    let draining = draining(rates, &service.leaving);
    let message = v1::VirtualService {
        key: Some(convert::service_key_message(key)),
        removed: true,
        draining: draining
            .map(|dest| dest_message(rates, state, key, dest))
            .collect(),
        leaving_laddrs: leaving_laddrs(rates, state, key, &service.uses),
        ..v1::VirtualService::default()
    };
    let goes_on = !message.draining.is_empty() || !message.leaving_laddrs.is_empty();
    goes_on.then_some(message)
}

fn service_message(rates: &Rates, state: &State, service: &ServiceEntry) -> v1::VirtualService {
    let key = &service.request.key;
    let dests = service.dests.values();
    let growth = dests.fold(Counts::default(), |sum, dest| sum + rates.rates(dest.id));
    let counts = service.counts(|id| rates.counts(id));
    let dest_message = |dest| dest_message(rates, state, key, dest);
    v1::VirtualService {
        counters: Some(convert::counters_message(&counts)),
        rates: Some(convert::rates_message(&growth)),
        dests: service.dests.values().map(dest_message).collect(),
        draining: draining(rates, &service.leaving)
            .map(dest_message)
            .collect(),
        laddrs: service
            .laddrs
            .iter()
            .chain(&service.wans)
            .map(|laddr| laddr_message(rates, state, laddr))
            .collect(),
        leaving_laddrs: leaving_laddrs(rates, state, key, &service.leaving_uses),
        ..request_message::service(&service.request)
    }
}

fn laddr_message(rates: &Rates, state: &State, laddr: &LaddrUse) -> v1::Laddr {
    let id = laddr.laddr.use_id;
    v1::Laddr {
        port_conflicts: laddr.conflicts(rates.laddr_conflicts(id)),
        conns: rates.laddr_conns(id),
        ..bare_laddr_message(state, laddr.addr())
    }
}

/// A local address that no conn of the service uses.
fn bare_laddr_message(state: &State, addr: IpAddr) -> v1::Laddr {
    let ifindex = state.desired.address(addr).map(|address| address.ifindex);
    let device = ifindex.map(|ifindex| state.desired.device_name(ifindex).to_owned());
    v1::Laddr {
        address: Some(field::ip_message(addr)),
        device: device.unwrap_or_default(),
        ..v1::Laddr::default()
    }
}

/// The local addresses that a service no longer has: those that its conns still use, and those
/// that go with the last conn of other services.
fn leaving_laddrs(
    rates: &Rates,
    state: &State,
    service: &ServiceKey,
    uses: &[LeavingUse],
) -> Vec<v1::Laddr> {
    let uses = uses.iter().map(|leaving| leaving.laddr_use);
    let uses = uses.filter(|laddr| rates.laddr_conns(laddr.laddr.use_id) != 0);
    let uses: Vec<LaddrUse> = uses.collect();
    let leaving = state.desired.leaving_laddrs.iter();
    let unused = leaving.filter(|leaving| {
        leaving.service == *service && uses.iter().all(|laddr| laddr.addr() != leaving.addr)
    });
    let unused = unused.map(|leaving| bare_laddr_message(state, leaving.addr));
    let used = uses.iter().map(|laddr| laddr_message(rates, state, laddr));
    used.chain(unused).collect()
}

/// The removed dests of a service whose conns go on.
fn draining<'a>(rates: &'a Rates, leaving: &'a [Leaving]) -> impl Iterator<Item = &'a DestEntry> {
    let go_on = leaving.iter().filter(|leaving| !leaving.is_ending);
    let dests = go_on.map(|leaving| &leaving.dest);
    dests.filter(|dest| rates.conns(dest.id) != (0, 0))
}

fn dest_message(rates: &Rates, state: &State, service: &ServiceKey, dest: &DestEntry) -> v1::Dest {
    let request = &dest.request;
    let end = (request.addr, request.port);
    let drain_left_s = state.desired.drain_left_s(service, end, state.now_ms);
    let (active, inactive) = rates.conns(dest.id);
    let counts = dest.counts(rates.counts(dest.id));
    let thresholds = Thresholds {
        upper: request.upper_threshold,
        lower: request.lower_threshold,
    };
    v1::Dest {
        active_conns: active,
        inactive_conns: inactive,
        overloaded: rates.is_overloaded(dest.id, thresholds),
        counters: Some(convert::counters_message(&counts)),
        rates: Some(convert::rates_message(&rates.rates(dest.id))),
        persistent_conns: rates.persistent_conns(dest.id),
        drain_s: drain_left_s.unwrap_or(0),
        ..request_message::dest(request)
    }
}
