package dev.kindling.job.report;

import static dev.kindling.job.report.Amounts.bytes;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.data.Ledger;
import dev.kindling.job.broadcast.MemoryBudget;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.evaluate.Evaluation;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.sync.Exchange;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.load.Compute;
import dev.kindling.train.TrainingState.Committed;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.SparkContext;
import org.jspecify.annotations.Nullable;

/** Mutable: sums up a run step by step, for its metrics, manifest, summary and stdout. */
public final class RunReport {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final JobConfig config;
  private final String baseDigest;
  private final List<String> labels;
  private final Map<String, int[]> executors = new TreeMap<>();
  private final Map<String, Set<String>> gpus = new TreeMap<>();
  private long steps;
  private long tokens;
  private long bytesDown;
  private long bytesUp;
  private long bytesExact;
  private double seconds;
  private double loss;
  private long cells;
  private MemoryUse memory = new MemoryUse(0, 0);
  private final MemoryPlan plan;
  private final long optimizerBytes;

  /**
   * @param optimizerBytes of the optimiser's state, on the driver's heap
   */
  public RunReport(
      JobConfig config,
      String baseDigest,
      List<String> labels,
      MemoryPlan plan,
      long optimizerBytes) {
    this.config = config;
    this.plan = plan;
    this.optimizerBytes = optimizerBytes;
    this.baseDigest = baseDigest;
    this.labels = labels;
  }

  /** Takes a committed step; returns its line of metrics.jsonl. */
  public ObjectNode step(Committed committed, Exchange exchange) {
    steps = committed.step();
    tokens += committed.tokens();
    bytesDown += exchange.bytesDown();
    bytesUp += exchange.bytesUp();
    bytesExact += exchange.bytesExact();
    seconds += exchange.seconds();
    loss = committed.loss();
    cells += committed.cells();
    memory = memory.max(exchange.memory());
    exchange
        .executors()
        .forEach(
            (id, loads) -> {
              int[] seen = executors.computeIfAbsent(id, i -> new int[2]);
              seen[0]++;
              seen[1] = loads;
            });
    exchange.gpus().forEach((id, on) -> gpus.computeIfAbsent(id, i -> new TreeSet<>()).addAll(on));
    ObjectNode line = JSON.createObjectNode();
    line.put("step", committed.step());
    line.put("ledger", Ledger.text(committed.ledger()));
    line.put("loss", committed.loss());
    line.put("learningRate", committed.learningRate());
    line.put("gradNorm", committed.gradNorm());
    line.put("tokens", committed.tokens());
    line.put("padding", padding(committed.tokens(), committed.cells()));
    line.put("tokensPerSecond", committed.tokens() / exchange.seconds());
    line.put("bytesDown", exchange.bytesDown());
    line.put("bytesUp", exchange.bytesUp());
    line.put("bytesExact", exchange.bytesExact());
    line.put("secondsCompute", exchange.computeSeconds());
    line.put("secondsExchange", exchange.seconds() - exchange.computeSeconds());
    return line;
  }

  /** Takes a step that was committed before the run went on. */
  public void earlier(String line) throws JsonProcessingException {
    JsonNode step = JSON.readTree(line);
    long real = step.path("tokens").asLong();
    steps = step.path("step").asLong();
    tokens += real;
    cells += Math.round(real / (1 - step.path("padding").asDouble()));
    bytesDown += step.path("bytesDown").asLong();
    bytesUp += step.path("bytesUp").asLong();
    bytesExact += step.path("bytesExact").asLong();
    seconds += step.path("secondsCompute").asDouble() + step.path("secondsExchange").asDouble();
    loss = step.path("loss").asDouble();
  }

  /** Share of the computed tokens that was padding. */
  private static double padding(long tokens, long cells) {
    return 1 - (double) tokens / cells;
  }

  /** What the executors will need, for people. */
  public String memoryPlan() {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "memory",
        "%s for each executor: base %s; for %d task(s) of %d × %,d tokens activations %s,"
            + " scratch %s, adapters %s. Driver's heap: optimizer %s",
        bytes(plan.total()),
        bytes(plan.base() + plan.packs()),
        plan.tasks(),
        plan.rows(),
        plan.tokens(),
        bytes(plan.activations()),
        bytes(plan.scratch()),
        bytes(plan.adapters()),
        bytes(optimizerBytes));
    return text.toString().stripTrailing();
  }

  /** How far codes of a base are from it, by the losses before the first step, for people. */
  public static String gap(Storage storage, double coded, double uncoded) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "base",
        "loss %.4f as %s, %.4f uncoded: %+.4f",
        coded,
        storage.spelled(),
        uncoded,
        coded - uncoded);
    return text.toString().stripTrailing();
  }

  /** Why that is not told. */
  public static String noGap(MemoryPlan uncoded, MemoryBudget budget) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "base",
        "not compared with itself uncoded, for which an executor would need %s for tensors and has %s",
        bytes(uncoded.total()),
        bytes(Math.max(0, budget.bytes())));
    return text.toString().stripTrailing();
  }

  private ObjectNode memory() {
    ObjectNode node = JSON.createObjectNode();
    ObjectNode planned = node.putObject("planned");
    planned.put("tasks", plan.tasks());
    planned.put("base", plan.base());
    planned.put("packs", plan.packs());
    planned.put("activations", plan.activations());
    planned.put("scratch", plan.scratch());
    planned.put("adapters", plan.adapters());
    planned.put("executor", plan.total());
    planned.put("optimizer", optimizerBytes);
    ObjectNode measured = node.putObject("measured");
    measured.put("executor", memory.nativeBytes());
    measured.put("resident", memory.residentBytes());
    return node;
  }

  /** The object for stdout; trainLoss is the last step's. */
  public ObjectNode result(@Nullable JsonNode before, Optional<Evaluation> after) {
    ObjectNode result = JSON.createObjectNode();
    result.put("output", config.output().orElseThrow().folder());
    result.put("steps", steps);
    result.put("tokens", tokens);
    result.put("padding", padding(tokens, cells));
    result.put("tokensPerSecond", tokens / seconds);
    result.put("bytesDown", bytesDown);
    result.put("bytesUp", bytesUp);
    result.put("bytesExact", bytesExact);
    result.put("memoryPlanned", plan.total());
    result.put("memoryMeasured", memory.nativeBytes());
    result.put("trainLoss", loss);
    result.set("before", before);
    result.set("validation", after.map(Evaluation::json).orElse(null));
    return result;
  }

  /** What the manifest says besides files, configuration and result. */
  public ObjectNode manifest(
      Examples data, Optional<Examples> evaluated, AdapterLayout layout, SparkContext spark) {
    ObjectNode manifest = JSON.createObjectNode();
    manifest.put("base", config.base().path());
    manifest.put("baseSha256", baseDigest);
    manifest.put("seed", config.compute().seed());
    manifest.set("labels", JSON.valueToTree(labels));
    manifest.put("examples", data.count());
    manifest.put("tokens", data.tokens());
    manifest.put("truncated", data.truncated());
    manifest.put("withoutTarget", data.targetless());
    manifest.put("dropped", data.dropped());
    manifest.set("droppedFirst", JSON.valueToTree(data.quoted()));
    evaluated.ifPresent(held -> manifest.put("droppedFromEvaluation", held.dropped()));
    manifest.set("memory", memory());
    ObjectNode adapter = manifest.putObject("adapter");
    adapter.put("r", layout.settings().r());
    adapter.put("alpha", layout.settings().alpha());
    adapter.put("scaling", layout.settings().scaling().spelled());
    adapter.put("dropout", layout.settings().dropout());
    adapter.put("parameters", layout.learnedElements());
    ObjectNode versions = manifest.putObject("versions");
    versions.put(
        "kindling", String.valueOf(RunReport.class.getPackage().getImplementationVersion()));
    versions.put("spark", spark.version());
    versions.put("java", Runtime.version().toString());
    Compute compute = config.compute().choose();
    versions.put("backend", compute.engine().spelled());
    manifest
        .putObject("compute")
        .put("backend", compute.engine().spelled())
        .put("precision", name(compute.precision()))
        .put("threads", compute.threads());
    versions.put("serializer", spark.env().serializer().getClass().getSimpleName());
    ObjectNode computed = manifest.putObject("executors");
    executors.forEach(
        (id, seen) -> {
          ObjectNode one = computed.putObject(id);
          one.put("steps", seen[0]).put("weightLoads", seen[1]);
          if (gpus.containsKey(id)) {
            one.set("gpus", JSON.valueToTree(gpus.get(id)));
          }
        });
    return manifest;
  }

  private static String name(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  /** A few lines for people. */
  public String summary(
      @Nullable JsonNode before,
      Optional<Evaluation> after,
      AdapterLayout trained,
      AdapterLayout kept,
      Examples data) {
    StringBuilder text = new StringBuilder("\n");
    line(
        text,
        "steps",
        "%,d over %,d examples, %,d cut to fit%s",
        steps,
        data.count(),
        data.truncated(),
        counted(data.targetless(), " without a target") + counted(data.dropped(), " dropped"));
    for (String quoted : data.quoted()) {
      line(text, "  dropped", "%s", quoted);
    }
    line(text, "trained", "%,d parameters", trained.learnedElements());
    if (kept.settings().r() != trained.settings().r()) {
      int rank = kept.settings().r();
      line(text, "adapter", "of rank %,d, with all that the base has been changed by", rank);
    }
    line(text, "loss", "%.4f at the last step", loss);
    if (before != null && after.isPresent()) {
      JsonNode now = after.get().json();
      line(text, "validation", "loss %s", change(before, now, "loss", "%.4f", 1));
      if (now.path("perplexity").isNumber()) {
        line(text, "perplexity", "%s", change(before, now, "perplexity", "%.3f", 1));
      }
      if (now.path("accuracy").isNumber()) {
        line(text, "accuracy", "%s", change(before, now, "accuracy", "%.2f %%", 100));
      }
    }
    line(
        text,
        "tokens",
        "%,d, and %.1f %% more computed as padding",
        tokens,
        100.0 * (cells - tokens) / tokens);
    line(
        text,
        "memory",
        "%s in the fullest executor, of %s planned (its whole process: %s)",
        bytes(memory.nativeBytes()),
        bytes(plan.total()),
        bytes(memory.residentBytes()));
    line(text, "speed", "%,.0f tokens/s over %,.0f s of steps", tokens / seconds, seconds);
    line(
        text,
        "exchanged",
        "%,.1f MB down, %,.1f MB up, on %d executor(s): %.3f of what exact gradients of all need",
        bytesDown / 1e6,
        bytesUp / 1e6,
        executors.size(),
        (double) (bytesDown + bytesUp) / bytesExact);
    line(text, "result", "%s", config.output().orElseThrow().folder());
    return text.toString();
  }

  private static String counted(long count, String what) {
    return count == 0 ? "" : String.format(Locale.ROOT, ", %,d%s", count, what);
  }

  private static String change(JsonNode was, JsonNode is, String key, String format, double unit) {
    return String.format(Locale.ROOT, format, unit * was.path(key).asDouble())
        + " → "
        + String.format(Locale.ROOT, format, unit * is.path(key).asDouble());
  }

  private static void line(StringBuilder text, String name, String format, Object... values) {
    text.append(String.format(Locale.ROOT, "  %-11s", name))
        .append(String.format(Locale.ROOT, format, values))
        .append('\n');
  }
}
