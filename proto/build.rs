//! Generates client and server code from the .proto files.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nouns = [
        "address",
        "common",
        "ipvs",
        "link",
        "memory",
        "neighbour",
        "route",
    ];
    let files = nouns.map(|noun| format!("proto/dpvs/v1/{noun}.proto"));
    tonic_prost_build::configure().compile_protos(&files, &["proto".to_string()])?;
    Ok(())
}
