//! MQTT 3.1.1, through its half of the client library.

use std::sync::Arc;

use rumqttc_v4::{
    AckMode, AsyncClient, Broker, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet, Publish,
    PublishNoticeError, PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport as Way,
};
use rustls::ClientConfig;

use super::link::{Client, Engine, Incoming, Outgoing, PublishFault, Receipt, Token, Turn};
use super::settings::{Address, Settings, Transport};

/// The largest packet that the protocol knows.
const LARGEST: usize = 268_435_455;

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
    options.try_set_clean_session(settings.clean).map_err(|fault| fault.to_string())?;
    options.set_max_packet_size(LARGEST, LARGEST);
    options.try_set_inflight(settings.in_flight).map_err(|fault| fault.to_string())?;
    if !settings.user.is_empty() || !settings.password.is_empty() {
        options.set_credentials(settings.user.clone(), settings.password.clone().into_bytes());
    }
    if let Some(will) = &settings.will {
        let payload = will.payload.clone();
        options.set_last_will(LastWill::new(will.topic.clone(), payload, quality(will.qos), will.retained));
    }
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(settings.connect_timeout.as_secs().max(1));
    network.set_tcp_nodelay(true);
    let (client, mut engine) =
        AsyncClient::builder(options).try_build().map_err(|fault| fault.to_string())?;
    engine.set_network_options(network);
    Ok((Client::V4(client), Engine::V4(Box::new(engine))))
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
        Ok(_) => Ok(Turn::Other),
        Err(fault) => Err(fault.to_string()),
    }
}

fn incoming(publish: Publish) -> Incoming {
    let (qos, token) = match publish.qos {
        QoS::AtMostOnce => (0, None),
        QoS::AtLeastOnce => (1, Some(rumqttc_v4::ManualAck::PubAck(rumqttc_v4::PubAck::new(publish.pkid)))),
        QoS::ExactlyOnce => (2, Some(rumqttc_v4::ManualAck::PubRec(rumqttc_v4::PubRec::new(publish.pkid)))),
    };
    Incoming {
        topic: publish.topic,
        payload: publish.payload,
        qos,
        duplicate: publish.dup,
        retained: publish.retain,
        id: publish.pkid,
        properties: Vec::new(),
        token: token.map(Token::V4),
        permit: None,
    }
}

/// Hands a message to the connection.
pub(super) async fn publish(client: &AsyncClient, outgoing: Outgoing) -> Result<Receipt, PublishFault> {
    let Outgoing { topic, payload, qos, retain } = outgoing;
    let options = PublishOptions::new(quality(qos)).retain(retain);
    let notice = match client.publish_tracked(topic, payload, options).await {
        Ok(notice) => notice,
        Err(rumqttc_v4::ClientError::InvalidRequest(_)) => {
            return Err(PublishFault::Refused("`topic` is not a topic that can be published to".to_owned()));
        }
        Err(_) => return Err(PublishFault::Lost),
    };
    Ok(Box::pin(async move {
        match notice.wait_async().await {
            Ok(_) => Ok(()),
            Err(
                PublishNoticeError::Recv
                | PublishNoticeError::SessionReset
                | PublishNoticeError::Qos0NotFlushed,
            ) => Err(PublishFault::Lost),
            Err(fault) => Err(PublishFault::Refused(fault.to_string())),
        }
    }))
}

/// Subscribes; `Ok` when the broker granted all of it.
pub(super) async fn subscribe(client: &AsyncClient, topics: &[String], qos: u8) -> Result<(), String> {
    let filters = topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), quality(qos)));
    let notice = client.subscribe_many_tracked(filters).await.map_err(|fault| match fault {
        rumqttc_v4::ClientError::InvalidRequest(_) => "one of the `topics` is no topic filter".to_owned(),
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
