//! The gRPC services of a daemon without a dataplane: they keep what they are told, and give it
//! back.

use std::process::Command;
use std::sync::{Arc, Mutex};

use cli_testkit::{FakeDaemon, Piece, refusal};
use proto::v1::change::Change as Kind;
use proto::v1::ipvs_service_server::{IpvsService, IpvsServiceServer};
use proto::v1::*;
use tokio_stream::{Iter, StreamExt};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

/// What the daemon knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub services: Vec<VirtualService>,
    pub conns: Vec<Conn>,
    pub access: Vec<AccessEntry>,
    pub timeouts: Timeouts,
    /// What was asked for when counters were zeroed.
    pub zeroed: Vec<Option<ServiceKey>>,
    /// What was asked for when conns were listed.
    pub asked: Vec<ListConnsRequest>,
}

/// The daemon that `ipvsadm-rs` talks to.
pub(crate) type Daemon = FakeDaemon<State>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ipvsadm-rs");

/// Starts a daemon that knows nothing yet.
pub(crate) fn start() -> Daemon {
    FakeDaemon::start(PROGRAM, |state| {
        let fake = Fake(state);
        Server::builder().add_service(IpvsServiceServer::new(fake))
    })
}

/// The program with a command line and without a daemon.
pub(crate) fn program(line: &str) -> Command {
    cli_testkit::command(PROGRAM, line)
}

impl State {
    fn service(&mut self, key: Option<&ServiceKey>) -> Result<&mut VirtualService, Status> {
        self.services
            .iter_mut()
            .find(|service| service.key.as_ref() == key)
            .ok_or_else(|| Status::not_found("no such service"))
    }

    fn apply(&mut self, change: Kind) -> Result<(), Status> {
        match change {
            Kind::AddService(service) => {
                if service.scheduler.starts_with('-') {
                    return Err(Status::invalid_argument(
                        "unknown scheduler '-rr': did you mean rr?",
                    ));
                }
                if self.service(service.key.as_ref()).is_ok() {
                    return Err(Status::already_exists("service exists"));
                }
                self.services.push(service);
            }
            Kind::EditService(new) => {
                let old = self.service(new.key.as_ref())?;
                *old = VirtualService {
                    dests: std::mem::take(&mut old.dests),
                    laddrs: std::mem::take(&mut old.laddrs),
                    ..new
                };
            }
            Kind::DelService(key) => {
                self.service(Some(&key))?;
                self.services
                    .retain(|service| service.key.as_ref() != Some(&key));
                self.access
                    .retain(|entry| entry.service.as_ref() != Some(&key));
            }
            Kind::AddDest(request) => {
                refuse_drain_with_weight(request.dest.as_ref())?;
                let service = self.service(request.service.as_ref())?;
                service.dests.extend(request.dest);
            }
            Kind::EditDest(request) => {
                let service = self.service(request.service.as_ref())?;
                let dest = request.dest.unwrap();
                service.dests.retain(|old| old.address != dest.address);
                service.dests.push(dest);
            }
            Kind::DelDest(request) => {
                let service = self.service(request.service.as_ref())?;
                let dest = request.dest.unwrap();
                service.dests.retain(|old| old.address != dest.address);
            }
            Kind::AddLaddr(request) => {
                let service = self.service(request.service.as_ref())?;
                service.laddrs.extend(request.laddr);
            }
            Kind::DelLaddr(request) => {
                let service = self.service(request.service.as_ref())?;
                let laddr = request.laddr.unwrap();
                service.laddrs.retain(|old| old.address != laddr.address);
            }
            Kind::AddAccess(entry) => self.access.push(entry),
            Kind::DelAccess(entry) => self.access.retain(|old| *old != entry),
            Kind::FlushServices(_) => self.services.clear(),
            Kind::SetTimeouts(timeouts) => self.timeouts = timeouts,
            Kind::ZeroCounters(request) => self.zeroed.push(request.key),
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn one(&self, change: Kind) -> Answer<Empty> {
        self.0.lock().unwrap().apply(change)?;
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl IpvsService for Fake {
    type ListServicesStream = Stream<VirtualService>;
    type ListConnsStream = Stream<Conn>;
    type ListAccessStream = Stream<AccessEntry>;

    async fn add_service(&self, request: Request<VirtualService>) -> Answer<Empty> {
        self.one(Kind::AddService(request.into_inner()))
    }

    async fn edit_service(&self, request: Request<VirtualService>) -> Answer<Empty> {
        self.one(Kind::EditService(request.into_inner()))
    }

    async fn del_service(&self, request: Request<ServiceKey>) -> Answer<Empty> {
        self.one(Kind::DelService(request.into_inner()))
    }

    async fn flush_services(&self, _: Request<Empty>) -> Answer<Empty> {
        self.0.lock().unwrap().services.clear();
        Ok(Response::new(Empty {}))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Answer<Self::ListServicesStream> {
        let key = request.into_inner().key;
        let mut services = self.0.lock().unwrap().services.clone();
        services.retain(|service| key.is_none() || service.key == key);
        let answers: Vec<_> = services.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }

    async fn zero_counters(&self, request: Request<ZeroCountersRequest>) -> Answer<Empty> {
        let key = request.into_inner().key;
        self.0.lock().unwrap().zeroed.push(key);
        Ok(Response::new(Empty {}))
    }

    async fn add_dest(&self, request: Request<DestRequest>) -> Answer<Empty> {
        self.one(Kind::AddDest(request.into_inner()))
    }

    async fn edit_dest(&self, request: Request<DestRequest>) -> Answer<Empty> {
        self.one(Kind::EditDest(request.into_inner()))
    }

    async fn del_dest(&self, request: Request<DestRequest>) -> Answer<Empty> {
        self.one(Kind::DelDest(request.into_inner()))
    }

    async fn add_laddr(&self, request: Request<LaddrRequest>) -> Answer<Empty> {
        self.one(Kind::AddLaddr(request.into_inner()))
    }

    async fn del_laddr(&self, request: Request<LaddrRequest>) -> Answer<Empty> {
        self.one(Kind::DelLaddr(request.into_inner()))
    }

    async fn add_access(&self, request: Request<AccessEntry>) -> Answer<Empty> {
        self.one(Kind::AddAccess(request.into_inner()))
    }

    async fn del_access(&self, request: Request<AccessEntry>) -> Answer<Empty> {
        self.one(Kind::DelAccess(request.into_inner()))
    }

    async fn list_access(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Answer<Self::ListAccessStream> {
        let key = request.into_inner().key;
        let mut entries = self.0.lock().unwrap().access.clone();
        entries.retain(|entry| key.is_none() || entry.service == key);
        let answers: Vec<_> = entries.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }

    async fn list_conns(
        &self,
        request: Request<ListConnsRequest>,
    ) -> Answer<Self::ListConnsStream> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        let mut conns = state.conns.clone();
        conns.retain(|conn| request.client.is_none() || conn.caddr == request.client);
        state.asked.push(request);
        let answers: Vec<_> = conns.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }

    async fn get_timeouts(&self, _: Request<Empty>) -> Answer<Timeouts> {
        Ok(Response::new(self.0.lock().unwrap().timeouts))
    }

    async fn set_timeouts(&self, request: Request<Timeouts>) -> Answer<Empty> {
        self.0.lock().unwrap().timeouts = request.into_inner();
        Ok(Response::new(Empty {}))
    }

    async fn apply(&self, request: Request<Streaming<Change>>) -> Answer<Empty> {
        let mut stream = request.into_inner();
        let mut changes = Vec::new();
        while let Some(change) = stream.next().await {
            changes.push(change?.change.unwrap());
        }
        let mut state = self.0.lock().unwrap();
        let before = state.services.clone();
        for (change, number) in changes.into_iter().zip(1..) {
            if let Err(status) = state.apply(change) {
                state.services = before;
                return Err(numbered(number, &status));
            }
        }
        Ok(Response::new(Empty {}))
    }

    async fn get_version(&self, _: Request<Empty>) -> Answer<Version> {
        Ok(Response::new(Version {
            major: 0,
            minor: 1,
            patch: 0,
        }))
    }
}

fn refuse_drain_with_weight(dest: Option<&Dest>) -> Result<(), Status> {
    if dest.is_none_or(|dest| dest.drain_s == 0 || dest.weight == Some(0)) {
        return Ok(());
    }
    let pieces = [
        Piece::Text("change 1: a dest drains with weight 0: give "),
        Piece::Names(&[("Dest.weight", "0")]),
        Piece::Text(" beside "),
        Piece::Names(&[("Dest.drain_s", "")]),
    ];
    Err(refusal(Code::InvalidArgument, &pieces))
}

/// A refusal of one of many changes. Those with details have the number already.
fn numbered(number: usize, status: &Status) -> Status {
    if !status.details().is_empty() {
        return status.clone();
    }
    let text = format!("change {number}: {}", status.message());
    Status::new(status.code(), text)
}
