package dev.kindling.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.data.Example;
import dev.kindling.export.PeftAdapter;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Halves;
import dev.kindling.model.load.Families;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Storage;
import dev.kindling.train.Learners;
import dev.kindling.train.TrainingState;
import dev.kindling.train.Update;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** One folder of golden vectors, opened. */
public final class Golden {
  public final Path folder;
  public final JsonNode settings;
  public final HfFolder base;
  public final PeftAdapter adapter;
  public final ModelPlan plan;
  public final AdapterLayout layout;
  public final List<Example> rows = new ArrayList<>();
  public final Map<String, StoredTensor> expected;

  public Golden(String name) {
    this(resource(name));
  }

  private static Path resource(String name) {
    try {
      URL resource = Golden.class.getResource("/golden/" + name);
      return Path.of(resource.toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A copy of a case. */
  public Golden(Path copy) {
    folder = copy;
    try {
      for (String line : Files.readAllLines(folder.resolve("data.jsonl"))) {
        JsonNode row = new com.fasterxml.jackson.databind.ObjectMapper().readTree(line);
        int[] ids = new int[row.get("input_ids").size()];
        for (int t = 0; t < ids.length; t++) {
          ids[t] = row.get("input_ids").get(t).asInt();
        }
        rows.add(new Example(rows.size(), ids, labels(row, ids)));
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    settings = HfFolder.json(folder.resolve("case.json"));
    base = HfFolder.open(folder);
    adapter = PeftAdapter.open(folder.resolve("adapter"));
    plan = plan(base.config());
    layout = adapter.layout(plan.linears(), 0);
    expected = Safetensors.open(folder.resolve("expected.safetensors"));
  }

  private static ModelPlan plan(JsonNode config) {
    return Families.plan(config, Math.max(1, config.path("id2label").size()));
  }

  /** A class, or a label for each token: the tokens themselves unless the row says otherwise. */
  private static int[] labels(JsonNode row, int[] ids) {
    if (row.has("label")) {
      return new int[] {row.get("label").asInt()};
    }
    int[] labels = ids.clone();
    for (int t = 0; t < row.path("labels").size(); t++) {
      labels[t] = row.get("labels").get(t).asInt();
    }
    return labels;
  }

  /** The same case with its weights rounded to bf16, in a folder of its own. */
  public Golden inHalfWidth(Path below) {
    try {
      Path copy = Files.createDirectories(below.resolve(folder.getFileName() + "-bf16"));
      Files.copy(folder.resolve("config.json"), copy.resolve("config.json"));
      HalfWidth.write(Safetensors.open(folder.resolve("model.safetensors")), copy);
      return new Golden(this, HfFolder.open(copy));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private Golden(Golden other, HfFolder base) {
    this.folder = other.folder;
    this.settings = other.settings;
    this.base = base;
    this.adapter = other.adapter;
    this.plan = other.plan;
    this.layout = other.layout;
    this.rows.addAll(other.rows);
    this.expected = other.expected;
  }

  /** The case's model on a backend, with the adapter's start values. */
  public Model model(Backend backend) {
    Model model = plan.build(backend, weights(backend), layout, false);
    model.load(adapter.values(layout));
    return model;
  }

  public FrozenWeights weights(Backend backend) {
    return weights(backend, Storage.FP32);
  }

  /** The base, kept in some other way. */
  public FrozenWeights weights(Backend backend, Storage storage) {
    var slots = plan.weights(layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, storage);
    base.stream(slots, loader::accept);
    return loader.finish();
  }

  public int steps() {
    return settings.get("steps").asInt();
  }

  public int batchSize() {
    return settings.get("batch_size").asInt();
  }

  public OptimizerSettings optimizer() {
    JsonNode o = settings.get("optimizer");
    Schedule.Curve curve =
        Schedule.Curve.valueOf(o.path("schedule").asText("constant").toUpperCase(Locale.ROOT));
    return new OptimizerSettings(
        OptimizerSettings.Kind.ADAMW,
        o.get("lr").asDouble(),
        o.path("weight_decay").asDouble(0),
        0.9,
        0.999,
        1e-8,
        new Schedule(curve, o.path("warmup_steps").asInt(0), steps()));
  }

  /** Who learns, and how fast. */
  public Learners learners() {
    return new Learners(Halves.BOTH, settings.at("/optimizer/loraplus_lr_ratio").asDouble(1));
  }

  /** Where the case's training begins. */
  public TrainingState state() {
    return new TrainingState(
        layout,
        adapter.values(layout),
        List.of(),
        new Update(optimizer(), maxGradNorm(), layout, learners()),
        Optional.empty(),
        false);
  }

  public double maxGradNorm() {
    return settings.at("/optimizer/max_grad_norm").asDouble(0);
  }

  /** Rows of a step's batch, in file order, wrapping at the end. */
  public List<Example> batch(int step) {
    List<Example> batch = new ArrayList<>();
    for (int j = 0; j < batchSize(); j++) {
      batch.add(rows.get((step * batchSize() + j) % rows.size()));
    }
    return batch;
  }
}
