import com.rabbitmq.client.*;
import java.util.Map;

/** Prints the relay's events. The body is a CloudEvent in JSON, for the parser of your choice. */
public class Reader {
  static String setting(String name, String usual) {
    return System.getenv().getOrDefault(name, usual);
  }

  public static void main(String[] arguments) throws Exception {
    var factory = new ConnectionFactory(); // it reconnects by itself
    factory.setUri(setting("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/"));
    // This client takes the "/" at the end for an empty name; others for the usual virtual host.
    if (factory.getVirtualHost().isEmpty()) factory.setVirtualHost("/");
    var queue = setting("QUEUE", "crm-script");
    var connection = factory.newConnection();
    var channel = connection.createChannel();
    channel.basicQos(100);
    channel.queueDeclare(queue, true, false, false, Map.of("x-queue-type", "quorum"));
    for (var pattern : setting("PATTERNS", "*.message.#,*.conversation.closed").split(",")) {
      channel.queueBind(queue, setting("EXCHANGE", "webhooks"), pattern);
    }
    DeliverCallback handle = (tag, message) -> {
      var envelope = message.getEnvelope();
      var id = message.getProperties().getMessageId(); // the id of the event
      System.out.println(envelope.getRoutingKey() + " " + id + " " + message.getBody().length + " bytes");
      channel.basicAck(envelope.getDeliveryTag(), false); // only now: else, after a crash, it is lost
    };
    channel.basicConsume(queue, false, handle, tag -> System.exit(1)); // the queue was deleted
  }
}
