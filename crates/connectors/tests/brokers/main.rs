//! The connectors to message brokers against real ones (`scripts/services up mosquitto rabbitmq nats redis`).

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

mod amqp_0_9;
mod amqp_1;
mod buckets;
mod egress;
#[path = "../ends/mod.rs"]
mod ends;
mod jetstream;
mod mqtt;
mod nats;
mod nats_jwt;
mod pushed;
mod redis;
mod redis_list;
mod redis_many;
mod secure;
mod servers;
