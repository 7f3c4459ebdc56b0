import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client writes numbered records until the file STOP exists, while the disk fills and is freed.
 *
 * usage: java Full.java BOOTSTRAP TOPIC STOP OUT.json [SETTING=VALUE...]
 */
public class Full {
    static final long EVERY_MS = 10;
    static final String PADDING = ".".repeat(1000);
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        for (int at = 4; at < args.length; at++) {
            String[] pair = args[at].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        ObjectNode seen = JSON.createObjectNode();
        ArrayNode stored = seen.putArray("stored");
        ArrayNode failed = seen.putArray("failed");
        int number = 0;
        var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        for (File stop = new File(args[2]); !stop.exists(); number++) {
            int own = number;
            byte[] value = (own + " " + PADDING).getBytes(StandardCharsets.US_ASCII);
            producer.send(new ProducerRecord<>(args[1], 0, null, value), (metadata, error) -> {
                synchronized (seen) {
                    ArrayNode row = (error == null ? stored : failed).addArray();
                    row.add(own).add(System.currentTimeMillis() / 1000.0);
                    if (error == null) row.add(metadata.offset());
                    else row.add(error.getClass().getSimpleName() + ": " + error.getMessage());
                }
            });
            Thread.sleep(EVERY_MS);
        }
        producer.close(Duration.ofSeconds(60));
        synchronized (seen) {
            seen.put("sent", number).put("unknown", number - stored.size() - failed.size());
            JSON.writeValue(new File(args[3]), seen);
        }
    }
}
