//! The gRPC services of a daemon without a dataplane: they keep what they are told, and give it
//! back.

use std::process::Command;
use std::sync::{Arc, Mutex};

use cli_testkit::{FakeDaemon, Piece, refusal};
use proto::v1::address_service_server::{AddressService, AddressServiceServer};
use proto::v1::link_service_server::{LinkService, LinkServiceServer};
use proto::v1::memory_service_server::{MemoryService, MemoryServiceServer};
use proto::v1::neighbour_service_server::{NeighbourService, NeighbourServiceServer};
use proto::v1::route_service_server::{RouteService, RouteServiceServer};
use proto::v1::*;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// What the daemon knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub neighbours: Vec<Neighbour>,
    pub links: Vec<Link>,
    pub workers: Vec<Worker>,
    pub memory: Memory,
    /// The families that lists asked for.
    pub families: Vec<Family>,
}

/// The daemon that `dpip` talks to.
pub(crate) type Daemon = FakeDaemon<State>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dpip");

/// Starts a daemon that knows nothing yet.
pub(crate) fn start() -> Daemon {
    FakeDaemon::start(PROGRAM, |state| {
        let fake = Fake(state);
        Server::builder()
            .add_service(AddressServiceServer::new(fake.clone()))
            .add_service(RouteServiceServer::new(fake.clone()))
            .add_service(NeighbourServiceServer::new(fake.clone()))
            .add_service(LinkServiceServer::new(fake.clone()))
            .add_service(MemoryServiceServer::new(fake))
    })
}

/// The program with a command line and without a daemon.
pub(crate) fn program(line: &str) -> Command {
    cli_testkit::command(PROGRAM, line)
}

#[derive(Clone)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn change(&self, change: impl FnOnce(&mut State)) -> Answer<Empty> {
        change(&mut self.0.lock().unwrap());
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl AddressService for Fake {
    async fn add_address(&self, request: Request<Address>) -> Answer<Empty> {
        let address = request.into_inner();
        let mut state = self.0.lock().unwrap();
        if state
            .addresses
            .iter()
            .any(|old| old.address == address.address)
        {
            let by_services = [
                Piece::Text("that address is taken: take it out of the services first ("),
                Piece::Names(&[("DelLaddr", "")]),
                Piece::Text("), or delete it ("),
                Piece::Names(&[
                    ("DelAddress", ""),
                    ("Address.address", "10.0.0.100"),
                    ("Address.prefix_len", "32"),
                    ("Address.device", "dpdk1"),
                ]),
                Piece::Text(")"),
            ];
            return Err(refusal(Code::AlreadyExists, &by_services));
        }
        state.addresses.push(address);
        Ok(Response::new(Empty {}))
    }

    async fn set_address(&self, request: Request<Address>) -> Answer<Empty> {
        let address = request.into_inner();
        self.change(|state| {
            state.addresses.retain(|old| old.address != address.address);
            state.addresses.push(address);
        })
    }

    async fn del_address(&self, request: Request<Address>) -> Answer<Empty> {
        let address = request.into_inner();
        self.change(|state| {
            state.addresses.retain(|old| old.address != address.address);
        })
    }

    async fn flush_addresses(&self, request: Request<FlushAddressesRequest>) -> Answer<Empty> {
        let device = request.into_inner().device;
        self.change(|state| state.addresses.retain(|old| old.device != device))
    }

    async fn list_addresses(
        &self,
        request: Request<ListAddressesRequest>,
    ) -> Answer<ListAddressesResponse> {
        let mut state = self.0.lock().unwrap();
        state.families.push(request.get_ref().family());
        let device = &request.get_ref().device;
        let mut addresses = state.addresses.clone();
        addresses.retain(|address| device.is_empty() || address.device == *device);
        Ok(Response::new(ListAddressesResponse { addresses }))
    }
}

#[tonic::async_trait]
impl RouteService for Fake {
    async fn add_route(&self, request: Request<Route>) -> Answer<Empty> {
        self.change(|state| state.routes.push(request.into_inner()))
    }

    async fn set_route(&self, request: Request<Route>) -> Answer<Empty> {
        let route = request.into_inner();
        self.change(|state| {
            state.routes.retain(|old| old.address != route.address);
            state.routes.push(route);
        })
    }

    async fn replace_route(&self, request: Request<Route>) -> Answer<Empty> {
        self.set_route(request).await
    }

    async fn del_route(&self, request: Request<Route>) -> Answer<Empty> {
        let route = request.into_inner();
        self.change(|state| state.routes.retain(|old| old.address != route.address))
    }

    async fn flush_routes(&self, request: Request<FlushRoutesRequest>) -> Answer<Empty> {
        let device = request.into_inner().device;
        self.change(|state| state.routes.retain(|old| old.device != device))
    }

    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Answer<ListRoutesResponse> {
        let mut routes = self.0.lock().unwrap().routes.clone();
        let ListRoutesRequest { family, device } = request.into_inner();
        let is_v6 = family == i32::from(Family::Inet6);
        routes.retain(|route| {
            let len = route.address.as_ref().map_or(4, |addr| addr.bytes.len());
            (len == 16) == is_v6 && (device.is_empty() || route.device == device)
        });
        Ok(Response::new(ListRoutesResponse { routes }))
    }
}

#[tonic::async_trait]
impl NeighbourService for Fake {
    async fn add_neighbour(&self, request: Request<Neighbour>) -> Answer<Empty> {
        self.change(|state| state.neighbours.push(request.into_inner()))
    }

    async fn del_neighbour(&self, request: Request<Neighbour>) -> Answer<Empty> {
        let neighbour = request.into_inner();
        self.change(|state| {
            state
                .neighbours
                .retain(|old| old.address != neighbour.address);
        })
    }

    async fn flush_neighbours(&self, _: Request<FlushNeighboursRequest>) -> Answer<Empty> {
        self.change(|state| state.neighbours.clear())
    }

    async fn list_neighbours(
        &self,
        _: Request<ListNeighboursRequest>,
    ) -> Answer<ListNeighboursResponse> {
        let neighbours = self.0.lock().unwrap().neighbours.clone();
        Ok(Response::new(ListNeighboursResponse { neighbours }))
    }
}

#[tonic::async_trait]
impl LinkService for Fake {
    async fn list_links(&self, request: Request<ListLinksRequest>) -> Answer<ListLinksResponse> {
        let name = request.into_inner().name;
        let mut state = self.0.lock().unwrap();
        // Traffic goes on between two samples.
        for link in &mut state.links {
            link.stats.get_or_insert_default().ipackets += 1_000;
        }
        let mut links = state.links.clone();
        links.retain(|link| name.is_empty() || link.name == name);
        if links.is_empty() {
            return Err(Status::not_found(format!("no device '{name}'")));
        }
        Ok(Response::new(ListLinksResponse { links }))
    }

    async fn set_link(&self, request: Request<SetLinkRequest>) -> Answer<Empty> {
        let request = request.into_inner();
        self.change(|state| {
            for link in &mut state.links {
                link.promiscuous = request.promiscuous.unwrap_or(link.promiscuous);
            }
        })
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Answer<ListWorkersResponse> {
        let name = request.into_inner().name;
        let mut workers = self.0.lock().unwrap().workers.clone();
        workers.retain(|worker| name.is_empty() || format!("cpu{}", worker.lcore) == name);
        Ok(Response::new(ListWorkersResponse { workers }))
    }
}

#[tonic::async_trait]
impl MemoryService for Fake {
    async fn show_memory(&self, _: Request<Empty>) -> Answer<Memory> {
        Ok(Response::new(self.0.lock().unwrap().memory.clone()))
    }
}
