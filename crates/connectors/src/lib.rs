//! Stream components that talk to something outside: one module and one Cargo feature each.
//!
//! [`register`] adds all that are built in to a registry; streams know them from then on by their type keys.

#[cfg(feature = "amqp_0_9")]
pub mod amqp_0_9;
mod fields;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kafka")]
mod metadata;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "tls")]
mod net;

use streams::Registry;

/// Adds every connector of this build to `registry`.
pub fn register(registry: &mut Registry) {
    #[cfg(feature = "amqp_0_9")]
    {
        registry.add_input(&amqp_0_9::INPUT);
        registry.add_output(&amqp_0_9::OUTPUT);
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
}
