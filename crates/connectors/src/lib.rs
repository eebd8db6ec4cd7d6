//! Stream components that talk to something outside: one module and one Cargo feature each.
//!
//! [`register`] adds all that are built in to a registry; streams know them from then on by their type keys.

#[cfg(any(feature = "http", feature = "mqtt", feature = "websocket"))]
mod addresses;
#[cfg(feature = "amqp_0_9")]
pub mod amqp_0_9;
#[cfg(feature = "amqp_1")]
pub mod amqp_1;
#[cfg(feature = "net")]
pub mod auth;
#[cfg(feature = "net")]
mod auth_fields;
mod fields;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http_client;
#[cfg(feature = "javascript")]
pub mod javascript;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "tls")]
mod net;
#[cfg(feature = "metrics")]
pub mod observe;
#[cfg(any(feature = "amqp_1", feature = "nats"))]
mod parting;
#[cfg(any(
    feature = "amqp_0_9",
    feature = "amqp_1",
    feature = "kafka",
    feature = "nats",
    feature = "redis",
    feature = "socket",
    feature = "sql"
))]
mod permits;
#[cfg(feature = "http")]
pub mod portal_webhook;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats", feature = "redis"))]
mod refusals;
#[cfg(feature = "schema_registry")]
pub mod schema_registry;
#[cfg(feature = "socket")]
pub mod socket;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "websocket")]
pub mod websocket;

use streams::Registry;

/// Adds every connector of this build to `registry`.
pub fn register(registry: &mut Registry) {
    #[cfg(feature = "amqp_0_9")]
    {
        registry.add_input(&amqp_0_9::INPUT);
        registry.add_output(&amqp_0_9::OUTPUT);
    }
    #[cfg(feature = "javascript")]
    registry.add_processor(&javascript::PROCESSOR);
    #[cfg(feature = "amqp_1")]
    {
        registry.add_input(&amqp_1::INPUT);
        registry.add_output(&amqp_1::OUTPUT);
    }
    #[cfg(feature = "kafka")]
    {
        registry.add_input(&kafka::INPUT);
        registry.add_output(&kafka::OUTPUT);
        registry.add_input(&kafka::FRANZ_INPUT);
        registry.add_output(&kafka::FRANZ_OUTPUT);
    }
    #[cfg(feature = "mqtt")]
    {
        registry.add_input(&mqtt::INPUT);
        registry.add_output(&mqtt::OUTPUT);
    }
    #[cfg(feature = "grpc")]
    {
        registry.add_input(&grpc::INPUT);
        registry.add_output(&grpc::OUTPUT);
    }
    #[cfg(feature = "metrics")]
    {
        registry.add_metrics(&observe::PROMETHEUS);
        registry.add_metrics(&observe::STATSD);
    }
    #[cfg(feature = "otlp")]
    {
        registry.add_tracer(&observe::JAEGER);
        registry.add_tracer(&observe::OPEN_TELEMETRY_COLLECTOR);
    }
    #[cfg(feature = "nats")]
    nats::register(registry);
    #[cfg(feature = "redis")]
    redis::register(registry);
    #[cfg(feature = "schema_registry")]
    {
        registry.add_processor(&schema_registry::DECODE);
        registry.add_processor(&schema_registry::ENCODE);
    }
    #[cfg(feature = "http")]
    {
        registry.add_input(&http_client::INPUT);
        registry.add_output(&http_client::OUTPUT);
        registry.add_processor(&http_client::PROCESSOR);
        registry.fetch = Some(http_client::documents);
        registry.add_output(&portal_webhook::OUTPUT);
    }
    #[cfg(feature = "websocket")]
    {
        registry.add_input(&websocket::INPUT);
        registry.add_output(&websocket::OUTPUT);
    }
    #[cfg(feature = "socket")]
    socket::register(registry);
    #[cfg(feature = "sql")]
    {
        registry.add_buffer(&sql::BUFFER);
        registry.add_cache(&sql::CACHE);
        registry.add_input(&sql::RAW_INPUT);
        registry.add_input(&sql::SELECT_INPUT);
        registry.add_output(&sql::INSERT_OUTPUT);
        registry.add_output(&sql::RAW_OUTPUT);
        registry.add_processor(&sql::INSERT_PROCESSOR);
        registry.add_processor(&sql::RAW_PROCESSOR);
        registry.add_processor(&sql::SELECT_PROCESSOR);
    }
}
