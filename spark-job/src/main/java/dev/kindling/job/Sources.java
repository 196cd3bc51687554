package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.data.Labels;
import dev.kindling.export.PeftAdapter;
import dev.kindling.job.config.Adapter;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Task;
import dev.kindling.job.ingest.Classes;
import dev.kindling.job.ingest.Query;
import dev.kindling.job.storage.Location;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Magnitudes;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.SettingsProblems;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.cpu.HostCodes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The base and the adapter to continue from, opened and found to agree with the configuration; what
 * the head and its classes come from.
 *
 * @param outline the model with a head of one class, before the classes are known
 */
record Sources(HfFolder base, Optional<PeftAdapter> adapter, ModelPlan outline) {
  private static final Logger LOG = LoggerFactory.getLogger(Sources.class);

  static Sources open(JobConfig config, Configuration hadoop) {
    HfFolder base = HfFolder.open(new Location("base.path", config.base().path()).folder(hadoop));
    Optional<PeftAdapter> adapter =
        config
            .adapter()
            .initFrom()
            .map(from -> PeftAdapter.open(new Location("adapter.init-from", from).folder(hadoop)));
    adapter
        .filter(a -> config.training().isPresent()) // who evaluates may name the run that made it
        .ifPresent(
            a -> {
              List<String> problems = differingKeys(config.adapter(), a.settings());
              problems.addAll(config.problemsBeside(a.settings()));
              ConfigProblems.check(problems);
            });
    ModelPlan outline = Families.plan(base.config(), 1);
    refuseOtherHeads(base.config(), config.task(), outline.predictsTokens());
    Sources sources = new Sources(base, adapter, outline);
    sources.refuseChangesOfCodes(config);
    return sources;
  }

  /**
   * How the base's matrices are kept: as the configuration or its method says, else as an adapter
   * has learned beside them.
   */
  Storage storage(JobConfig config) {
    return config.base().said() ? config.base().storage() : codes().orElse(config.base().storage());
  }

  /** The configuration's own storage has been checked; this is for one that an adapter brings. */
  private void refuseChangesOfCodes(JobConfig config) {
    Storage storage = storage(config);
    if (config.training().isPresent() && storage.coded()) {
      config
          .changesBase()
          .ifPresent(
              setting -> {
                throw new ConfigProblems(
                    List.of(
                        "adapter.init-from has learned beside base.storage = "
                            + storage.spelled()
                            + ": "
                            + setting
                            + " adds to the frozen weights, and needs them in fp32; set"
                            + " base.storage = fp32"));
              });
    }
    codes()
        .filter(learned -> learned != storage)
        .ifPresent(
            learned ->
                LOG.warn(
                    "base.storage = {}, but adapter.init-from has learned beside {}: its loss is"
                        + " another one here",
                    storage.spelled(),
                    learned.spelled()));
  }

  /** Whether each prefix of the adapter is one too. */
  boolean nested() {
    return adapter.filter(a -> a.notes().nested()).isPresent();
  }

  /** How the base was kept that the adapter has learned beside, if as codes. */
  Optional<Storage> codes() {
    return adapter.flatMap(a -> a.notes().codes());
  }

  /** The linear layer that gives the logits. */
  String head() {
    return outline.linears().get(outline.linears().size() - 1).name();
  }

  /** Classes of the head that adapter or base bring, if one does. */
  Optional<Integer> classes() {
    return adapter
        .flatMap(a -> a.outputs(head()))
        .or(() -> base.find(head() + ".weight").map(t -> Math.toIntExact(t.shape()[0])));
  }

  /**
   * The classes of the head that adapter or base bring, or else the distinct labels of data.train;
   * none of a language model.
   *
   * @throws ConfigProblems if there is nothing to take them from
   */
  Labels labels(SparkSession session, JobConfig config) {
    if (outline.predictsTokens()) {
      return new Labels(List.of());
    }
    Optional<Integer> classes = classes();
    if (classes.isEmpty()) {
      if (config.training().isEmpty()) {
        throw new ConfigProblems(
            List.of("the base has no classification head to evaluate: set adapter.init-from"));
      }
      Query query = Query.all(config.data()); // a class may be all held out
      Location data = query.location();
      Labels distinct = Classes.of(session, query);
      if (distinct.size() == 0) {
        throw new InvalidInput("data.train " + data.text(), "has no labels", "every row needs one");
      }
      return distinct;
    }
    return new Labels(named());
  }

  /** Their names, as adapter or base call them; none of a language model. */
  List<String> named() {
    int n = outline.predictsTokens() ? 0 : classes().orElse(0);
    List<String> named = new ArrayList<>();
    JsonNode id2label = base.config().path("id2label");
    for (int i = 0; i < id2label.size(); i++) {
      named.add(id2label.path(Integer.toString(i)).asText());
    }
    return adapter
        .flatMap(a -> a.notes().labels())
        .filter(known -> known.size() == n)
        .or(() -> named.size() == n ? Optional.of(named) : Optional.empty())
        .orElseGet(() -> IntStream.range(0, n).mapToObj(i -> "LABEL_" + i).toList());
  }

  /** The trainables of a run: the adapter's, or those that the configuration asks for. */
  AdapterLayout layout(JobConfig config, ModelPlan plan) {
    return adapter
        .map(a -> a.layout(plan.linears(), trained(config, a.settings())))
        .orElseGet(() -> AdapterLayout.of(plan.linears(), settings(config, plan)));
  }

  /** Their values before the first step. */
  float[] start(JobConfig config, ModelPlan plan, AdapterLayout layout) {
    Map<String, LinearModule> modules = new HashMap<>();
    plan.linears().forEach(m -> modules.put(m.name(), m));
    if (adapter.isPresent()) {
      adapter
          .get()
          .requireCopiesOf(m -> base.find(modules.containsKey(m) ? modules.get(m).weight() : m));
      return adapter.get().values(layout);
    }
    AdapterLayout.Start start =
        layout.start(
            config.compute().seed(),
            config.adapter().initialiser().drawn(),
            p -> inBase(p, modules.get(p.module()), storage(config)));
    start.fresh().forEach(m -> LOG.info("{} is not in the base: initialised from the seed", m));
    return start.values();
  }

  /** What the base has of a trainable, read from its files. */
  private Optional<float[]> inBase(Parameter p, LinearModule module, Storage storage) {
    return switch (p.role()) {
      case MAGNITUDE -> Optional.of(Magnitudes.of(multiplied(module, storage), module.out()));
      case WEIGHT -> base.find(module.weight()).map(t -> values(p, t));
      default -> base.find(p.name()).map(t -> values(p, t));
    };
  }

  /** [out, in] of a layer. */
  static float[] weight(HfFolder base, LinearModule m) {
    return values(whole(m), base.find(m.weight()).orElseThrow());
  }

  /** The same as an fp32 base that is kept so multiplies with it: codes stand for other numbers. */
  private float[] multiplied(LinearModule m, Storage storage) {
    if (outline.weights().stream()
        .noneMatch(s -> s.name().equals(m.weight()) && s.coded(storage))) {
      return weight(base, m);
    }
    StoredTensor stored = base.find(m.weight()).orElseThrow().require(whole(m).storedShape());
    return whole(m).fromStored(HostCodes.rounded(storage, stored.floats()));
  }

  private static Parameter whole(LinearModule m) {
    return new Parameter(m.name(), Role.WEIGHT, 0, m.turned(), m.weightShape());
  }

  private static float[] values(Parameter p, StoredTensor stored) {
    return p.fromStored(stored.require(p.storedShape()).floats());
  }

  /** Names and patterns that match nothing are found before anything is read. */
  void checkTargets(JobConfig config) {
    if (adapter.isEmpty()) {
      ConfigProblems.check(SettingsProblems.of(outline.linears(), settings(config, outline)));
    }
  }

  /** Without an adapter, evaluation and generation take the base as it is. */
  private static AdapterSettings settings(JobConfig config, ModelPlan plan) {
    Adapter a = config.adapter();
    return a.settings(
        config.training().isPresent() ? a.targets() : new TargetModules.None(),
        a.modulesToSave().orElse(plan.head()));
  }

  /** Every class needs a logit: the head is in the base, in the adapter, or to be trained. */
  void requireHead(AdapterLayout layout) {
    if (!outline.predictsTokens()
        && layout.find(head(), Role.WEIGHT).isEmpty()
        && base.find(head() + ".weight").isEmpty()) {
      throw new ConfigProblems(
          List.of(
              adapter.isPresent()
                  ? "adapter.init-from brings no " + head() + ", and the base has none either"
                  : "adapter.modules-to-save lacks "
                      + outline.head()
                      + ", and the base has no such head"));
    }
  }

  /** A token classifier's head would be taken for a sequence classifier's, and so on. */
  private static void refuseOtherHeads(JsonNode config, Task task, boolean predictsTokens) {
    String fits =
        predictsTokens
            ? ".*(Model|ForCausalLM)"
            : ".*(?<!LMHead)(Model|ForMaskedLM|ForPreTraining|ForSequenceClassification)";
    for (JsonNode architecture : config.path("architectures")) {
      if (!architecture.asText().matches(fits)) {
        throw new InvalidInput(
            "config.json",
            "architectures name " + architecture.asText(),
            "supported are encoders, sequence classifiers and causal language models");
      }
    }
    Task found = predictsTokens ? Task.CAUSAL_LM : Task.SEQUENCE_CLASSIFICATION;
    if (task != Task.AUTO && task != found) {
      throw new ConfigProblems(
          List.of("task is " + spelled(task) + ", but the base is for " + spelled(found)));
    }
  }

  private static String spelled(Task task) {
    return task.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static List<String> differingKeys(Adapter user, AdapterSettings folder) {
    List<String> problems = new ArrayList<>();
    for (String key : user.userSet()) {
      Object ours =
          switch (key) {
            case "r" -> user.r();
            case "alpha" -> user.alpha();
            case "scaling" -> user.scaling().spelled();
            case "rank-pattern" -> user.patterns().ranks();
            case "alpha-pattern" -> user.patterns().alphas();
            case "magnitudes" -> user.magnitudes();
            case "target-modules" -> comparable(user.targets());
            case "modules-to-save" ->
                user.modulesToSave().orElse(List.of()).stream().sorted().toList();
            default -> null; // dropout may be changed
          };
      Object theirs =
          switch (key) {
            case "r" -> folder.r();
            case "alpha" -> folder.alpha();
            case "scaling" -> folder.scaling().spelled();
            case "rank-pattern" -> folder.patterns().ranks();
            case "alpha-pattern" -> folder.patterns().alphas();
            case "magnitudes" -> folder.magnitudes();
            case "target-modules" -> comparable(folder.targets());
            case "modules-to-save" -> folder.modulesToSave().stream().sorted().toList();
            default -> null;
          };
      if (!Objects.equals(ours, theirs)) {
        problems.add(
            ("adapter.%s is %s, but adapter.init-from says %s: leave out the key, or the method that"
                    + " sets it")
                .formatted(key, ours, theirs));
      }
    }
    return problems;
  }

  private static Object comparable(TargetModules targets) {
    if (targets instanceof TargetModules.Names names) {
      return names.names().stream().sorted().toList();
    }
    return targets instanceof TargetModules.Regex regex ? regex.pattern().pattern() : targets;
  }

  /** What a folder says nothing of, and its dropout, unless the user set another. */
  private static PeftAdapter.Training trained(JobConfig config, AdapterSettings folder) {
    Adapter user = config.adapter();
    return new PeftAdapter.Training(
        user.userSet().contains("dropout") ? user.dropout() : folder.dropout(),
        config.training().isPresent() ? user.sampling().beside(folder.r()) : Sampling.NONE);
  }
}
