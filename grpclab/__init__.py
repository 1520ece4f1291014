"""grpclab: performance studies of gRPC services that hold up."""
__version__ = "0.1.0"
