//! Generates client and server code from the .proto files.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["address", "common", "ipvs", "link", "neighbour", "route"]
        .map(|noun| format!("proto/dpvs/v1/{noun}.proto"));
    tonic_prost_build::configure().compile_protos(&files, &["proto".to_string()])?;
    Ok(())
}
