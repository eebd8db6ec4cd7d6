//! MQTT 5, through its half of the client library.

use std::pin::Pin;
use std::sync::Arc;

use rumqttc_v5::{
    AckMode, AsyncClient, Broker, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet,
    PersistedAckMode, PersistedSession, Publish, PublishNoticeError, PublishOptions, PublishResult, QoS,
    SessionStore, SessionStoreError, SessionStoreKey, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport as Way,
};
use rustls::ClientConfig;

use super::link::{Client, Engine, Incoming, Outgoing, PublishFault, Receipt, Token, Turn};
use super::settings::{Address, Settings, Transport};

/// Most messages that the broker may send ahead of their acknowledgement.
const RECEIVE_MAXIMUM: u16 = 1024;
/// How long the broker keeps the session of a client that is away: for ever.
const NEVER: u32 = u32::MAX;

/// The version of the client library's record of a session.
const FORMAT: u16 = 1;

type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

/// A subscriber's half of a session that the broker keeps: it has nothing under way that would have to be taken up.
/// The client library does not subscribe within a session whose other half it does not know.
#[derive(Debug)]
struct NothingOfOurs {
    client_id: String,
    in_flight: u16,
}

impl SessionStore for NothingOfOurs {
    fn load<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: FORMAT,
            client_id: self.client_id.clone(),
            clean_start: false,
            session_expiry_interval: Some(NEVER),
            outgoing_inflight_upper_limit: Some(self.in_flight),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async move { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A client that is not connected yet.
pub(super) fn make(
    settings: &Settings,
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(Client, Engine), String> {
    let id = settings.client_id.clone();
    let mut options = match (address.transport, tls.map(TlsConfiguration::Rustls)) {
        (Transport::Wss, Some(tls)) => MqttOptions::websocket_with_tls_config(id, address.url.clone(), tls)
            .map_err(|fault| fault.to_string())?,
        (Transport::Ws | Transport::Wss, _) => {
            let broker = Broker::websocket(address.url.clone()).map_err(|fault| fault.to_string())?;
            MqttOptions::new(id, broker)
        }
        (Transport::Tls, Some(tls)) => {
            let mut options = MqttOptions::new(id, (address.host.clone(), address.port));
            options.set_transport(Way::tls_with_config(tls));
            options
        }
        (Transport::Tcp | Transport::Tls, _) => MqttOptions::new(id, (address.host.clone(), address.port)),
    };
    let dialer = settings.dialer.clone();
    options.set_socket_connector(move |place, _| {
        let dialer = dialer.clone();
        async move { dialer.connect_to(&place).await.map_err(std::io::Error::other) }
    });
    options.set_keep_alive(settings.keepalive).set_ack_mode(AckMode::Manual);
    options.set_clean_start(settings.clean);
    if !settings.clean {
        options.set_session_expiry_interval(Some(NEVER));
        options.set_session_store(NothingOfOurs {
            client_id: settings.client_id.clone(),
            in_flight: settings.in_flight,
        });
    }
    options.set_unlimited_incoming_packet_size().set_receive_maximum(Some(RECEIVE_MAXIMUM));
    options.set_outgoing_inflight_upper_limit(settings.in_flight);
    if !settings.user.is_empty() || !settings.password.is_empty() {
        options.set_credentials(settings.user.clone(), settings.password.clone().into_bytes());
    }
    if let Some(will) = &settings.will {
        let payload = will.payload.clone();
        options.set_last_will(LastWill::new(
            will.topic.clone(),
            payload,
            quality(will.qos),
            will.retained,
            None,
        ));
    }
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(settings.connect_timeout.as_secs().max(1));
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let (client, engine) = AsyncClient::builder(options).try_build().map_err(|fault| fault.to_string())?;
    Ok((Client::V5(client), Engine::V5(Box::new(engine))))
}

fn quality(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// One turn of the connection.
pub(super) async fn turn(engine: &mut EventLoop) -> Result<Turn, String> {
    match engine.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(_))) => Ok(Turn::Connected),
        Ok(Event::Incoming(Packet::Publish(publish))) => Ok(Turn::Message(Box::new(incoming(publish)))),
        Ok(Event::Incoming(Packet::Disconnect(leave))) => {
            Err(format!("the broker ended the connection: {:?}", leave.reason_code))
        }
        Ok(_) => Ok(Turn::Other),
        Err(fault) => Err(fault.to_string()),
    }
}

fn incoming(publish: Publish) -> Incoming {
    let (qos, token) = match publish.qos {
        QoS::AtMostOnce => (0, None),
        QoS::AtLeastOnce => {
            (1, Some(rumqttc_v5::ManualAck::PubAck(rumqttc_v5::PubAck::new(publish.pkid, None))))
        }
        QoS::ExactlyOnce => {
            (2, Some(rumqttc_v5::ManualAck::PubRec(rumqttc_v5::PubRec::new(publish.pkid, None))))
        }
    };
    let mut properties = Vec::new();
    if let Some(own) = publish.properties {
        properties = own.user_properties;
        let correlation = own.correlation_data.map(|data| String::from_utf8_lossy(&data).into_owned());
        let named = [
            ("mqtt_content_type", own.content_type),
            ("mqtt_response_topic", own.response_topic),
            ("mqtt_correlation_data", correlation),
        ];
        properties.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    Incoming {
        topic: publish.topic,
        payload: publish.payload,
        qos,
        duplicate: publish.dup,
        retained: publish.retain,
        id: publish.pkid,
        properties,
        token: token.map(Token::V5),
        permit: None,
    }
}

/// Hands a message to the connection.
pub(super) async fn publish(client: &AsyncClient, outgoing: Outgoing) -> Result<Receipt, PublishFault> {
    let Outgoing { topic, payload, qos, retain } = outgoing;
    let options = PublishOptions::new(quality(qos)).retain(retain);
    let notice = match client.publish_tracked(topic, payload, options).await {
        Ok(notice) => notice,
        Err(rumqttc_v5::ClientError::InvalidRequest(_)) => {
            return Err(PublishFault::Refused("`topic` is not a topic that can be published to".to_owned()));
        }
        Err(_) => return Err(PublishFault::Lost),
    };
    Ok(Box::pin(async move {
        match notice.wait_async().await {
            Ok(PublishResult::Qos2PubRecRejected(answer)) => {
                Err(PublishFault::Refused(format!("the broker refused it: {:?}", answer.reason)))
            }
            Err(
                fault @ (PublishNoticeError::V5PubAck(_)
                | PublishNoticeError::V5PubRec(_)
                | PublishNoticeError::V5PubComp(_)
                | PublishNoticeError::RetainNotSupported),
            ) => Err(PublishFault::Refused(format!("the broker refused it: {fault}"))),
            Ok(_) => Ok(()),
            Err(
                PublishNoticeError::Recv
                | PublishNoticeError::SessionReset
                | PublishNoticeError::Qos0NotFlushed
                | PublishNoticeError::BrokerOnlySessionResume,
            ) => Err(PublishFault::Lost),
            Err(fault) => Err(PublishFault::Refused(fault.to_string())),
        }
    }))
}

/// Subscribes; `Ok` when the broker granted all of it.
pub(super) async fn subscribe(client: &AsyncClient, topics: &[String], qos: u8) -> Result<(), String> {
    let filters = topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), quality(qos)));
    let notice = client.subscribe_many_tracked(filters).await.map_err(|fault| match fault {
        rumqttc_v5::ClientError::InvalidRequest(_) => "one of the `topics` is no topic filter".to_owned(),
        other => other.to_string(),
    })?;
    let answer = notice.wait_async().await.map_err(|fault| fault.to_string())?;
    for (topic, code) in topics.iter().zip(&answer.return_codes) {
        if !matches!(code, SubscribeReasonCode::Success(_)) {
            return Err(format!("the broker refused the subscription to `{topic}`: {code:?}"));
        }
    }
    Ok(())
}

/// Ends subscriptions; returns when the broker has answered behind what it sent, or does not.
pub(super) async fn unsubscribe(client: &AsyncClient, topics: Vec<String>) {
    if let Ok(notice) = client.unsubscribe_many_tracked(topics).await {
        let _ = notice.wait_async().await;
    }
}
