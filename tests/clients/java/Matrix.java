import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client as a writer, with its default settings (idempotent, acks=all), and as a reader with `assign`.
 *
 * usage: java Matrix.java write BOOTSTRAP PLAN.json
 *        java Matrix.java read BOOTSTRAP PLAN.json OUT.json WRITERS
 */
public class Matrix {
    static final long TIMEOUT_S = 60;
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        JsonNode topics = JSON.readTree(new File(args[2])).get("topics");
        if (args[0].equals("write")) {
            write(args[1], topics);
        } else {
            JSON.writeValue(new File(args[3]), read(args[1], topics, Set.of(args[4].split(","))));
        }
    }

    static void write(String bootstrap, JsonNode topics) throws Exception {
        for (JsonNode topic : topics) {
            if (!topic.get("writer").asText().equals("java")) continue;
            Properties settings = new Properties();
            settings.put("bootstrap.servers", bootstrap);
            settings.put("compression.type", topic.get("codec").asText());
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
                for (JsonNode row : topic.get("records")) {
                    var record = new ProducerRecord<>(topic.get("name").asText(), 0, row.get("timestamp").asLong(),
                        bytes(row.get("key")), bytes(row.get("value")));
                    for (JsonNode header : row.get("headers")) {
                        record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                    }
                    sent.add(producer.send(record));
                }
                for (var future : sent) future.get(TIMEOUT_S, TimeUnit.SECONDS);
            }
        }
    }

    static ObjectNode read(String bootstrap, JsonNode topics, Set<String> writers) {
        ObjectNode read = JSON.createObjectNode();
        List<TopicPartition> partitions = new ArrayList<>();
        for (JsonNode topic : topics) {
            if (!writers.contains(topic.get("writer").asText())) continue;
            partitions.add(new TopicPartition(topic.get("name").asText(), 0));
            read.putArray(topic.get("name").asText());
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_S);
            while (System.nanoTime() < deadline
                && ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    ObjectNode row = ((ArrayNode) read.get(record.topic())).addObject();
                    row.put("offset", record.offset()).put("timestamp", record.timestamp());
                    row.put("key", text(record.key())).put("value", text(record.value()));
                    ArrayNode headers = row.putArray("headers");
                    for (Header header : record.headers()) {
                        headers.addArray().add(header.key()).add(text(header.value()));
                    }
                }
            }
        }
        return read;
    }

    static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
