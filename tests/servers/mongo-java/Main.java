import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** MongoDB's protocol on 127.0.0.1, with its data in one file: {@code Main PORT FILE}. */
final class Main {
    /** As strict as the writes that the store asks for, and it counts commands where a real MongoDB does. */
    private static final class Backend extends H2Backend {
        private static final Set<String> WRITES =
                Set.of("insert", "update", "delete", "findAndModify", "findandmodify", "createIndexes", "dropDatabase");
        private final ConcurrentHashMap<String, LongAdder> commands = new ConcurrentHashMap<>();

        Backend(String file) {
            super(file);
            version(new Version());
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            String command = message.getDocument().keySet().iterator().next();
            commands.computeIfAbsent(command, name -> new LongAdder()).increment();
            Document answer = super.handleMessage(message);
            // H2 writes once a second by itself: a server killed in that second would lose what it acknowledged.
            if (WRITES.contains(command)) {
                commit();
            }
            return answer;
        }

        @Override
        public Document getServerStatus() {
            Document totals = new Document();
            commands.forEach((name, count) -> totals.put(name, new Document("total", count.sum())));
            return super.getServerStatus().append("metrics", new Document("commands", totals));
        }
    }

    /** What it claims to be by itself is too old for some drivers. */
    private static final class Version implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    }

    public static void main(String[] arguments) {
        MongoServer server = new MongoServer(new Backend(arguments[1]));
        server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
        System.out.println("listening on " + server.getConnectionString());
    }
}
