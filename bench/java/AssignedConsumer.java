import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic from its beginning and prints how long it took. Kafka's ConsumerPerformance always joins a group; this
 * reads as that does, with its settings, but is told its partitions, so that it also runs where groups are not served.
 *
 * <p>usage: java AssignedConsumer.java BOOTSTRAP TOPIC RECORDS
 */
public class AssignedConsumer {
    /** As ConsumerPerformance's --timeout: it gives up after so long without a record. */
    private static final long PATIENCE_MS = 10_000;

    private static Properties settings(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        // The defaults of ConsumerPerformance: --socket-buffer-size, --fetch-size, and no checksums.
        settings.put("receive.buffer.bytes", "2097152");
        settings.put("max.partition.fetch.bytes", "1048576");
        settings.put("check.crcs", "false");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return settings;
    }

    public static void main(String[] args) {
        String topic = args[1];
        long wanted = Long.parseLong(args[2]);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(args[0]))) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(partition -> new TopicPartition(topic, partition.partition()))
                .toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            read(consumer, wanted);
        }
    }

    private static void read(KafkaConsumer<byte[], byte[]> consumer, long wanted) {
        long records = 0;
        long bytes = 0;
        long begun = System.nanoTime();
        long last = begun;
        while (records < wanted && System.nanoTime() - last < PATIENCE_MS * 1_000_000) {
            ConsumerRecords<byte[], byte[]> some = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<byte[], byte[]> record : some) {
                records += 1;
                bytes += record.value().length;
            }
            if (!some.isEmpty()) {
                last = System.nanoTime();
            }
        }
        double seconds = (last - begun) / 1e9;
        System.out.printf(Locale.ROOT, "%d records, %d bytes, %.6f s%n", records, bytes, seconds);
    }
}
