package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.LanguageText;
import dev.kindling.data.TextTokenizer;
import dev.kindling.generate.Continued;
import dev.kindling.generate.Sampler;
import dev.kindling.job.config.Compute.Recompute;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Generation;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.ConfigJson;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.LanguageModel;
import dev.kindling.model.ModelPlan;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.load.Device;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import org.apache.hadoop.conf.Configuration;

/** Continues a text with a base, alone or with an adapter, in this JVM: no executor takes part. */
public final class GenerateJob {
  private GenerateJob() {}

  /**
   * Generates; returns the object for stdout.
   *
   * @param hadoop for remote bases and adapters
   * @param people where the text appears as it comes
   */
  public static ObjectNode run(Configuration hadoop, JobConfig config, PrintStream people) {
    Sources sources = Sources.open(config, hadoop);
    HfFolder base = sources.base();
    ModelPlan plan = sources.outline();
    if (!plan.predictsTokens()) {
      throw new ConfigProblems(
          List.of("base.path " + config.base().path() + " is a classifier: it says no text"));
    }
    byte[] json = Reading.tokenizer(base);
    if (json.length == 0) {
      throw new InvalidInput(
          base.folder().toString(), "has no tokenizer.json", "generate needs one");
    }
    AdapterLayout layout = sources.layout(config, plan);
    float[] trainables = sources.start(config, plan, layout);
    List<WeightSlot> slots = plan.weights(layout);
    try (TextTokenizer tokenizer = TextTokenizer.open(json);
        Backend backend = config.compute().choose().open(Device.CPU)) {
      FrozenWeights.Loader loader =
          new FrozenWeights.Loader(backend, slots, sources.storage(config));
      base.stream(slots, loader::accept);
      boolean recompute = config.compute().recompute() == Recompute.BLOCK;
      try (FrozenWeights weights = loader.finish();
          LanguageModel model = (LanguageModel) plan.build(backend, weights, layout, recompute)) {
        model.load(trainables);
        return continued(config, base, plan, tokenizer, model, people);
      }
    }
  }

  private static ObjectNode continued(
      JobConfig config,
      HfFolder base,
      ModelPlan plan,
      TextTokenizer tokenizer,
      LanguageModel model,
      PrintStream people) {
    Generation wanted = config.generation().orElseThrow();
    List<Integer> ends = new ConfigJson(base.config()).endTokens();
    int context = plan.rules().maxTokens();
    OptionalInt end = ends.isEmpty() ? OptionalInt.empty() : OptionalInt.of(ends.get(0));
    int[] prompt = new LanguageText(tokenizer, end, context).prompt(wanted.prompt());
    if (prompt.length == 0 || prompt.length >= context) {
      throw new ConfigProblems(
          List.of(
              "prompt has %d tokens: the base takes 1 to %d and needs room for an answer"
                  .formatted(prompt.length, context - 1)));
    }
    String before = tokenizer.decode(prompt);
    people.print(wanted.prompt());
    StringBuilder shown = new StringBuilder();
    long start = System.nanoTime();
    Continued continued =
        Continued.of(
            model,
            prompt,
            wanted.maxTokens(),
            context,
            new HashSet<>(ends),
            new Sampler(wanted.temperature(), wanted.topP(), wanted.seed()),
            plan.vocabulary(),
            ids -> show(text(tokenizer, before, prompt, ids), shown, people));
    double seconds = (System.nanoTime() - start) / 1e9;
    String text = text(tokenizer, before, prompt, continued.ids());
    people.println(text.substring(Math.min(shown.length(), text.length())));
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("prompt", wanted.prompt());
    result.put("text", text);
    result.put("promptTokens", prompt.length);
    result.put("tokens", continued.ids().size());
    result.put("stop", continued.stop().name().toLowerCase(Locale.ROOT).replace('_', '-'));
    result.put("tokensPerSecond", continued.ids().size() / seconds);
    return result;
  }

  /** What follows the prompt: decoded with it, since tokens may share a character or a space. */
  private static String text(
      TextTokenizer tokenizer, String before, int[] prompt, List<Integer> ids) {
    int[] all = Arrays.copyOf(prompt, prompt.length + ids.size());
    for (int i = 0; i < ids.size(); i++) {
      all[prompt.length + i] = ids.get(i);
    }
    String whole = tokenizer.decode(all);
    return whole.startsWith(before) ? whole.substring(before.length()) : whole;
  }

  /** Shows what is new, unless it ends in half a character. */
  private static void show(String text, StringBuilder shown, PrintStream people) {
    if (!text.endsWith("\ufffd") && text.length() > shown.length()) {
      people.print(text.substring(shown.length()));
      people.flush();
      shown.setLength(0);
      shown.append(text);
    }
  }
}
