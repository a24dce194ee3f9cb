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
        "sentence",
    ];
    let files = nouns.map(|noun| format!("proto/dpvs/v1/{noun}.proto"));
    let out_dir = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .file_descriptor_set_path(out_dir.join("dpvs.v1.bin"))
        .compile_protos(&files, &["proto".to_string()])?;
    Ok(())
}
