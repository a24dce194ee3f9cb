//! A daemon without a dataplane, on a socket of its own: it keeps what it is told and gives it back.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use proto::v1::address_service_server::{AddressService, AddressServiceServer};
use proto::v1::link_service_server::{LinkService, LinkServiceServer};
use proto::v1::memory_service_server::{MemoryService, MemoryServiceServer};
use proto::v1::neighbour_service_server::{NeighbourService, NeighbourServiceServer};
use proto::v1::route_service_server::{RouteService, RouteServiceServer};
use proto::v1::*;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// What the daemon knows.
#[derive(Debug, Default)]
pub struct State {
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub neighbours: Vec<Neighbour>,
    pub links: Vec<Link>,
    pub workers: Vec<Worker>,
    pub memory: Memory,
    /// The families that lists asked for
    pub families: Vec<Family>,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    pub state: Arc<Mutex<State>>,
    pub socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("dpvsd.sock");
        // Bound before anyone connects: there is nothing to wait for.
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let fake = Fake(Arc::clone(&state));
        std::thread::spawn(move || serve(listener, fake));
        Self {
            state,
            socket,
            _folder: folder,
        }
    }

    /// The program with this daemon's socket in its environment.
    pub fn command(&self, line: &str) -> Command {
        let mut command = program(line);
        command.env("DPVS_SOCKET", &self.socket);
        command
    }

    /// What a command prints that succeeds.
    pub fn dpip(&self, line: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(line).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success() && stderr.is_empty(), "{line}: {stderr}");
        String::from_utf8(stdout).unwrap()
    }

    /// Exit status and sentence of a command that is refused.
    pub fn refused(&self, line: &str) -> (i32, String) {
        let output = self.command(line).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

/// The program with a command line and no socket.
pub fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpip"));
    command.args(line.split_whitespace());
    command.env_remove("DPVS_SOCKET");
    command
}

fn serve(listener: UnixListener, fake: Fake) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        Server::builder()
            .add_service(AddressServiceServer::new(fake.clone()))
            .add_service(RouteServiceServer::new(fake.clone()))
            .add_service(NeighbourServiceServer::new(fake.clone()))
            .add_service(LinkServiceServer::new(fake.clone()))
            .add_service(MemoryServiceServer::new(fake))
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
            .unwrap();
    });
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
            return Err(Status::already_exists("that address is taken"));
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

    async fn del_route(&self, request: Request<Route>) -> Answer<Empty> {
        let route = request.into_inner();
        self.change(|state| state.routes.retain(|old| old.address != route.address))
    }

    async fn flush_routes(&self, request: Request<FlushRoutesRequest>) -> Answer<Empty> {
        let device = request.into_inner().device;
        self.change(|state| state.routes.retain(|old| old.device != device))
    }

    async fn list_routes(&self, _: Request<ListRoutesRequest>) -> Answer<ListRoutesResponse> {
        let routes = self.0.lock().unwrap().routes.clone();
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
