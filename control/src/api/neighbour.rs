//! `dpip neigh`.

use inet::neighbour::NeighbourState;
use proto::v1;
use tonic::{Request, Response, Status};

use super::Api;
use super::caller::{log_change, of_device};
use super::convert::field;

#[tonic::async_trait]
impl v1::neighbour_service_server::NeighbourService for Api {
    async fn add_neighbour(
        &self,
        request: Request<v1::Neighbour>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.get_ref();
        let addr = field::ip(message.address.as_ref(), "neighbour")?;
        crate::desired::require_host(addr)?;
        let mac = field::mac(&message.mac)?;
        let change = self.control.write(|state| {
            let ifindex = state.desired.device(&message.device)?.ifindex;
            if state.desired.address(addr).is_some() {
                let text =
                    format!("{addr} is an address of this director: it is nobody's neighbour");
                return Err(Status::invalid_argument(text));
            }
            state.neighbours.add_static(ifindex, addr, mac);
            Ok(())
        });
        change.await?;
        log_change(format_args!(
            "neighbour {addr} of {} is {mac}",
            message.device
        ));
        Ok(self.done().await)
    }

    async fn del_neighbour(
        &self,
        request: Request<v1::Neighbour>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.get_ref();
        let addr = field::ip(message.address.as_ref(), "neighbour")?;
        let change = self.control.write(|state| {
            let ifindex = state.desired.device(&message.device)?.ifindex;
            if state.neighbours.remove(ifindex, addr) {
                Ok(())
            } else {
                let text = format!(
                    "no neighbour {addr} on {}: `ListNeighbours` lists them",
                    message.device
                );
                Err(Status::not_found(text))
            }
        });
        change.await?;
        log_change(format_args!(
            "neighbour {addr} of {} removed",
            message.device
        ));
        Ok(self.done().await)
    }

    async fn flush_neighbours(
        &self,
        request: Request<v1::FlushNeighboursRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let name = &request.get_ref().device;
        let family = field::known(request.get_ref().family, "family")?;
        let change = self.control.write(|state| {
            let device = (!name.is_empty())
                .then(|| state.desired.device(name))
                .transpose()?;
            let is_meant = |addr| field::is_of(family, addr);
            let ifindex = device.map(|device| device.ifindex);
            state.neighbours.flush(ifindex, is_meant);
            Ok::<_, Status>(())
        });
        change.await?;
        log_change(format_args!("neighbours{} removed", of_device(name)));
        Ok(self.done().await)
    }

    async fn list_neighbours(
        &self,
        request: Request<v1::ListNeighboursRequest>,
    ) -> Result<Response<v1::ListNeighboursResponse>, Status> {
        let name = &request.get_ref().device;
        let family = field::known(request.get_ref().family, "family")?;
        let neighbours = self.control.read(|state| {
            let device = (!name.is_empty())
                .then(|| state.desired.device(name))
                .transpose()?;
            let shown = state.neighbours.iter().filter(|neighbour| {
                field::is_of(family, neighbour.addr)
                    && device.is_none_or(|device| device.ifindex == neighbour.ifindex)
            });
            Ok::<_, Status>(
                shown
                    .map(|neighbour| v1::Neighbour {
                        address: Some(field::ip_message(neighbour.addr)),
                        mac: neighbour.mac.map(|mac| mac.0.to_vec()).unwrap_or_default(),
                        device: state.desired.device_name(neighbour.ifindex).to_owned(),
                        state: neighbour.state.to_string(),
                        r#static: neighbour.state == NeighbourState::Permanent,
                    })
                    .collect(),
            )
        })?;
        Ok(Response::new(v1::ListNeighboursResponse { neighbours }))
    }
}
