import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java consumer in fetch sessions (KIP-227), which it uses whenever it is given one.
 *
 * usage: java Sessions.java many BOOTSTRAP HTTP    many partitions, few with news; assignments that change
 *        java Sessions.java few BOOTSTRAP HTTP     two consumers and one slot: one of them reads without
 */
public class Sessions {
    static final long TIMEOUT_S = 60;
    static final int PARTITIONS = 50;
    static final int[] BUSY = {3, 17, 42};

    final String bootstrap;
    final String http;
    final String topic;
    final Map<Integer, Integer> sent = new HashMap<>();

    Sessions(String bootstrap, String http, String topic) {
        this.bootstrap = bootstrap;
        this.http = http;
        this.topic = topic;
    }

    public static void main(String[] args) throws Exception {
        Sessions sessions = new Sessions(args[1], args[2], "sessions-" + args[0]);
        try (var admin = Admin.create(sessions.settings())) {
            admin.createTopics(List.of(new NewTopic(sessions.topic, PARTITIONS, (short) 1))).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        }
        if (args[0].equals("many")) sessions.many(); else sessions.few();
    }

    void many() throws Exception {
        try (var reader = new Reader()) {
            reader.assign(IntStream.range(0, PARTITIONS).toArray());
            for (int round = 0; round < 5; round++) {
                send(100);
                reader.readAll();
                // Several long polls without news; those are what sessions are for.
                reader.poll(1200);
                expect("partitions of the session", PARTITIONS, series("numincrementalfetchpartitionscached"));
            }
            expect("sessions", 1, series("numincrementalfetchsessions"));
            for (int partition = 0; partition < PARTITIONS; partition++) reader.expectNoLag(partition);

            // Fewer partitions, then others, then a pause: the client forgets and adds in the same session.
            reader.assign(IntStream.range(10, 20).toArray());
            send(50);
            reader.readAll();
            reader.poll(1200);
            expect("partitions after fewer were assigned", 10, series("numincrementalfetchpartitionscached"));
            reader.assign(IntStream.range(0, PARTITIONS).toArray());
            reader.consumer.pause(List.of(new TopicPartition(topic, 17)));
            send(50);
            reader.poll(1500);
            expect("records of a paused partition", reader.paused(17), reader.seen(17));
            reader.consumer.resume(List.of(new TopicPartition(topic, 17)));
            reader.readAll();
            expect("sessions", 1, series("numincrementalfetchsessions"));
        }
        expect("sessions after the consumer has gone", 0, series("numincrementalfetchsessions"));
    }

    void few() throws Exception {
        try (var first = new Reader()) {
            try (var second = new Reader()) {
                for (var reader : List.of(first, second)) reader.assign(IntStream.range(0, PARTITIONS).toArray());
                for (int round = 0; round < 5; round++) {
                    send(100);
                    second.readAll();
                    first.readAll();
                    first.poll(600);
                    second.poll(600);
                    expect("sessions", 1, series("numincrementalfetchsessions"));
                }
            }
            send(100);
            first.readAll();
            first.poll(600);
            expect("sessions", 1, series("numincrementalfetchsessions"));
        }
        expect("sessions after both have gone", 0, series("numincrementalfetchsessions"));
    }

    /** Sends so many numbered records to each busy partition. */
    void send(int records) throws Exception {
        try (var producer = new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer())) {
            for (int partition : BUSY) {
                for (int count = 0; count < records; count++) {
                    int number = sent.merge(partition, 1, Integer::sum) - 1;
                    producer.send(new ProducerRecord<>(topic, partition, null, partition + "/" + number));
                }
            }
        }
    }

    Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        return settings;
    }

    long series(String name) throws Exception {
        var request = HttpRequest.newBuilder(URI.create("http://" + http + "/metrics")).build();
        String page = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
        String start = "kafka_server_fetchsessioncache_" + name + " ";
        return page.lines().filter(line -> line.startsWith(start)).findFirst()
            .map(line -> Long.parseLong(line.substring(start.length()))).orElseThrow();
    }

    static void expect(String what, long wanted, long found) {
        if (wanted != found) throw new IllegalStateException(what + ": " + found + ", expected " + wanted);
    }

    /** A consumer that checks that each partition's records come whole and in order. */
    class Reader implements AutoCloseable {
        final KafkaConsumer<String, String> consumer;
        final Map<Integer, Integer> seen = new HashMap<>();

        Reader() {
            Properties settings = settings();
            settings.put("enable.auto.commit", "false");
            consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        }

        /** Reads these partitions from where it had stopped. */
        void assign(int[] indexes) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (int index : indexes) partitions.add(new TopicPartition(topic, index));
            consumer.assign(partitions);
            for (var partition : partitions) consumer.seek(partition, seen(partition.partition()));
        }

        void poll(long millis) {
            for (long end = System.nanoTime() + millis * 1_000_000; System.nanoTime() < end; ) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    int number = seen.merge(record.partition(), 1, Integer::sum) - 1;
                    String wanted = record.partition() + "/" + number;
                    if (!wanted.equals(record.value())) {
                        throw new IllegalStateException(record.value() + ", expected " + wanted);
                    }
                }
            }
        }

        /** Reads until everything that was sent to its partitions is there. */
        void readAll() {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_S);
            while (consumer.assignment().stream().anyMatch(p -> seen(p.partition()) < sent.getOrDefault(p.partition(), 0))) {
                if (System.nanoTime() > end) throw new IllegalStateException("read " + seen + " of " + sent);
                poll(50);
            }
        }

        int seen(int partition) {
            return seen.getOrDefault(partition, 0);
        }

        /** What was read of a partition when the last 50 were sent. */
        int paused(int partition) {
            return sent.get(partition) - 50;
        }

        void expectNoLag(int partition) {
            OptionalLong lag = consumer.currentLag(new TopicPartition(topic, partition));
            expect("lag of partition " + partition, 0, lag.orElse(-1));
        }

        @Override
        public void close() {
            consumer.close();
        }
    }
}
