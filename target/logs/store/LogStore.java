import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.UnaryOperator;
import org.opensearch.cluster.metadata.IndexTemplateMetadata;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.Netty4Plugin;

/** OpenSearch in one process: it knows what a log line is, and keeps those of the newest days. */
class LogStore extends Node {
    static final Path HOME = Path.of("/data"), LINE = Path.of("/opt/log-store/line.json");
    static final String DAYS = "logs-*"; // one index each
    static final int DAYS_KEPT = 7;

    public static void main(String[] arguments) throws Exception {
        var store = new LogStore();
        Runtime.getRuntime().addShutdownHook(new Thread(store::stopWell));
        store.start();
        store.injector().getInstance(ThreadPool.class).scheduleWithFixedDelay(
            store::forgetOldDays, TimeValue.timeValueMinutes(10), ThreadPool.Names.GENERIC);
        new CountDownLatch(1).await();
    }

    LogStore() {
        super(InternalSettingsPreparer.prepareEnvironment(ownSettings(), Map.of(), null, () -> "log-store"),
            List.of(Netty4Plugin.class, Lines.class), true);
    }

    static Settings ownSettings() {
        return Settings.builder()
            .put("path.home", HOME)
            .put("cluster.name", "logs")
            .put("discovery.type", "single-node")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("http.bind_host", "0.0.0.0")
            .put("http.publish_host", "127.0.0.1")
            .put("node.processors", 1)
            .put("action.auto_create_index", DAYS)
            .build();
    }

    /** Days are deleted as a whole; their names sort as their dates do. */
    void forgetOldDays() {
        var indices = client().admin().indices();
        String[] days = indices.prepareGetIndex().setIndices(DAYS).get().indices();
        Arrays.sort(days);
        if (days.length > DAYS_KEPT) {
            indices.prepareDelete(Arrays.copyOf(days, days.length - DAYS_KEPT)).get();
        }
    }

    void stopWell() {
        try {
            close();
        } catch (IOException error) {
            System.err.println(error);
        }
    }

    /** What a line is made of. A template that is put by request would come after the first line. */
    public static class Lines extends Plugin {
        @Override
        public UnaryOperator<Map<String, IndexTemplateMetadata>> getIndexTemplateMetadataUpgrader() {
            return templates -> {
                templates.put("lines", template());
                return templates;
            };
        }

        static IndexTemplateMetadata template() {
            try {
                return IndexTemplateMetadata.builder("lines")
                    .patterns(List.of(DAYS))
                    .settings(Settings.builder()
                        .put("index.number_of_shards", 1)
                        .put("index.number_of_replicas", 0)
                        .put("index.codec", "best_compression"))
                    .putMapping("_doc", Files.readString(LINE))
                    .build();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }
}
