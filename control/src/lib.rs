//! The control plane: desired state, validation, gRPC services, snapshots
