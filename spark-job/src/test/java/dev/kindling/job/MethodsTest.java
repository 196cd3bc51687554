package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.Methods;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Ranks;
import dev.kindling.model.Golden;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Methods by name, from a fresh adapter to an exported one, and what tells each from plain LoRA.
 */
class MethodsTest {
  /** Layers of another rank, and of another alpha. */
  private static final String PATTERNS =
      " adapter.rank-pattern={\"(query|q_proj|c_attn)\"=6} adapter.alpha-pattern={\"(output.dense|mlp.+)\"=9}";

  /** All methods, and, of one family, settings of several at once. */
  private static List<String> methods(boolean combined) {
    List<String> all = new ArrayList<>(Methods.names());
    if (!combined) {
      return all;
    }
    all.add("lora" + PATTERNS);
    all.add("olora" + PATTERNS);
    all.add("cola" + PATTERNS);
    all.add("dora" + PATTERNS);
    all.add("dora adapter.initialiser=olora");
    all.add("dora adapter.ranks=prefix");
    all.add("ce-lora adapter.magnitudes=true sampling.every-steps=2");
    all.add("ce-lora sampling.score=weight");
    all.add("ce-lora base.storage=nf4 adapter.magnitudes=true");
    all.add("ce-lora adapter.ranks=prefix adapter.dropout=0.1");
    all.add("rslora adapter.initialiser=olora optimizer.lora-plus-ratio=3");
    all.add("ffa-lora adapter.initialiser=olora");
    all.add("olora adapter.train=a");
    all.add("orthogonal adapter.train=a");
    return all;
  }

  @TempDir Path temp;

  /** The case's run with an adapter of its own, and nothing said that a method may say. */
  private List<String> fresh(GoldenFolder golden, Path output, String... more) {
    List<String> arguments = new ArrayList<>(golden.train(output));
    arguments.removeIf(
        a -> a.startsWith("adapter.init-from") || a.startsWith("optimizer.lora-plus-ratio"));
    arguments.addAll(List.of("adapter.r=4", "train.seed=3"));
    arguments.addAll(List.of(more));
    return arguments;
  }

  private Path train(GoldenFolder golden, String method, String... more) {
    Path output = temp.resolve(method + Arrays.hashCode(more));
    List<String> arguments = fresh(golden, output, more);
    arguments.add("method=" + method);
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(method + run.stdout()).isZero();
    return output;
  }

  private static List<String> words(String text) {
    return List.of(text.split(" ", -1));
  }

  private static Map<String, StoredTensor> adapter(Path output) {
    return Safetensors.open(output.resolve("adapter/adapter_model.safetensors"));
  }

  /**
   * What it computes is what it exported: on the base by itself, the loss that training ended with.
   */
  @ParameterizedTest
  @CsvSource({"bert", "gpt2", "llama-gqa"})
  void train_anyMethod_exportsWhatItLearned(String family) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    Map<ByteBuffer, String> seen = new TreeMap<>();
    for (String method : methods(family.equals("llama-gqa"))) {
      Path output = temp.resolve(method.replaceAll("\\W", "-"));
      List<String> arguments = fresh(golden, output, held);
      arguments.addAll(words("method=" + method));
      InProcess trained = kindling(2, arguments);
      assertThat(trained.code()).as(method + trained.stdout()).isZero();
      InProcess evaluated = kindling(1, golden.evaluate(output));
      assertThat(evaluated.code()).as(method + evaluated.stdout()).isZero();
      assertThat(evaluated.json().get("loss").asDouble())
          .as(method)
          .isCloseTo(trained.json().at("/validation/loss").asDouble(), offset(1e-5));
      byte[] bytes = Files.readAllBytes(output.resolve("adapter/adapter_model.safetensors"));
      String same = seen.put(ByteBuffer.wrap(bytes), method);
      assertThat(same).as("the same adapter as " + method).isNull();
    }
  }

  /** A as it was drawn, whatever it is trained with; B not. */
  @Test
  void train_ffaLora_leavesAAsItWasDrawn() {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Map<String, StoredTensor> one =
        adapter(train(golden, "ffa-lora", "train.steps=1", "optimizer.weight-decay=0.5"));
    Map<String, StoredTensor> six = adapter(train(golden, "ffa-lora", "train.steps=6"));
    Map<String, StoredTensor> plain = adapter(train(golden, "lora", "train.steps=6"));
    one.forEach(
        (name, tensor) -> {
          if (name.contains("lora_A")) {
            assertThat(six.get(name).floats()).as(name).isEqualTo(tensor.floats());
            assertThat(plain.get(name).floats()).as(name).isNotEqualTo(tensor.floats());
          } else {
            assertThat(six.get(name).floats()).as(name).isNotEqualTo(tensor.floats());
          }
        });
  }

  /** With all features and the whole rank it is LoRA, to the bit; with fewer it is not. */
  @Test
  void train_ceLoraOfAllFeatures_isLora() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Path plain = train(golden, "lora");
    Path all = train(golden, "lora", "sampling.kept={q_proj=1}");
    assertThat(all.resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(plain.resolve("adapter/adapter_model.safetensors"));
    Path some = train(golden, "ce-lora", "sampling.rank-share=1");
    assertThat(adapter(some).keySet()).isEqualTo(adapter(plain).keySet());
    assertThat(
            Files.mismatch(
                some.resolve("adapter/adapter_model.safetensors"),
                plain.resolve("adapter/adapter_model.safetensors")))
        .isNotNegative();
  }

  /** Each setting of a method stands in the resolved configuration, and can be set otherwise. */
  @Test
  void method_anySetting_isShownAndYields() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = train(golden, "lora-plus", "optimizer.lora-plus-ratio=4");
    assertThat(Files.readString(output.resolve("config.resolved.conf")))
        .contains("lora-plus-ratio=\"4\"")
        .contains("method=lora-plus");
    Path other = train(golden, "lora", "optimizer.lora-plus-ratio=4");
    assertThat(other.resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(output.resolve("adapter/adapter_model.safetensors"));
    assertThat(Files.readString(train(golden, "rslora").resolve("config.resolved.conf")))
        .contains("scaling=rank-stabilised");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "adapter.init-from"})
  void method_unknownOrOtherThanTheAdapters_isRefusedByName(String key) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("never");
    List<String> arguments =
        new ArrayList<>(key.isEmpty() ? fresh(golden, output) : golden.train(output));
    arguments.add("method=" + (key.isEmpty() ? "lorra" : "rslora"));
    InProcess refused = kindling(1, arguments);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages())
        .contains(
            key.isEmpty()
                ? "method is lorra: expected ce-lora | cola | dora | dylora"
                : "adapter.scaling is rank-stabilised, but adapter.init-from says standard");
  }

  /** It begins as the base, and the export for the base as it was has both what it is and was. */
  @ParameterizedTest
  @CsvSource({"bert,olora", "gpt2,olora", "llama-gqa,olora", "gpt2,pissa", "llama-gqa,pissa"})
  void train_fromBase_beginsAsTheBaseAndExportsTwiceTheRank(String family, String method)
      throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    JsonNode plain = kindling(2, fresh(golden, temp.resolve("plain"), held)).json();
    Path output = temp.resolve(method);
    JsonNode begun = kindling(2, fresh(golden, output, held, "method=" + method)).json();
    assertThat(begun.at("/before/loss").asDouble())
        .isCloseTo(plain.at("/before/loss").asDouble(), offset(1e-6));
    adapter(output)
        .forEach(
            (name, tensor) -> {
              if (name.contains("lora_")) {
                int rank = name.contains("lora_A") ? 0 : 1;
                assertThat(tensor.shape()[rank]).as(name).isEqualTo(8);
              }
            });
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.at("/adapter/r").asInt()).isEqualTo(8);
  }

  /** Stopped, on other cores, and averaged: what was drawn or changed before stays that. */
  @ParameterizedTest
  @CsvSource({
    "olora,sync.mode=gradients",
    "olora,sync.mode=averaging",
    "relora,sync.mode=gradients",
    "cola,sync.mode=averaging",
    "dora,sync.mode=averaging",
    "ce-lora,sync.mode=gradients",
    "dylora,sync.mode=gradients",
    "dylora,sync.mode=averaging",
    "qlora,sync.mode=gradients",
    "qlora,sync.mode=averaging"
  })
  void train_stoppedAndOnOtherCores_givesTheSameBytes(String method, String mode) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    List<String> settings =
        new ArrayList<>(
            List.of("method=" + method, mode, "train.steps=6", "checkpoint.every-steps=2"));
    if (mode.endsWith("averaging")) {
      String exactness = method.matches("dylora|dora|qlora") ? "none" : "fedex"; // these cannot
      settings.addAll(
          List.of("sync.workers=2", "sync.averaging-frequency=2", "sync.exactness=" + exactness));
    }
    String[] all = settings.toArray(new String[0]);
    Path whole = temp.resolve("whole");
    assertThat(kindling(1, fresh(golden, whole, all)).code()).isZero();
    Path output = temp.resolve("output");
    List<String> train = fresh(golden, output, all);
    System.setProperty("spark.extraListeners", StopAtStep.class.getName());
    try {
      assertThat(kindling(2, train, StopAtStep.at(3)).code()).isEqualTo(10);
    } finally {
      System.clearProperty("spark.extraListeners");
    }
    assertThat(kindling(3, train).code()).isZero();
    assertThat(output.resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("adapter/adapter_model.safetensors"));
  }

  /** The rank of k links is k·r, and what was merged first is what LoRA had learned by then. */
  @ParameterizedTest
  @CsvSource({"bert,cola,3", "gpt2,cola,3", "llama-gqa,relora,4", "llama-gqa,rac-lora,3"})
  void train_chain_exportsTheRankOfAllLinks(String family, String method, int links) {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    Map<String, StoredTensor> chain = adapter(train(golden, method, "train.steps=" + 2 * links));
    Map<String, StoredTensor> first = adapter(train(golden, "lora", "train.steps=2"));
    chain.keySet().removeIf(name -> !name.contains("lora_"));
    assertThat(chain.size()).isGreaterThan(3);
    chain.forEach(
        (name, tensor) -> {
          boolean down = name.contains("lora_A");
          assertThat(tensor.shape()[down ? 0 : 1]).as(name).isEqualTo(4L * links);
          float[] one = first.get(name).floats();
          int columns = (int) tensor.shape()[1];
          for (int i = 0; method.equals("cola") && i < one.length; i++) {
            int at = down ? 4 * columns + i : i / 4 * columns + 4 + i % 4; // behind the last link
            assertThat(tensor.floats()[at]).as(name).isEqualTo(one[i]);
          }
        });
  }

  /** Each link's A is as it was drawn, whatever its B has learned; no two links have the same. */
  @Test
  void train_racLora_drawsAnAForEachLink() {
    GoldenFolder golden = GoldenFolder.copy("gpt2", temp);
    Map<String, StoredTensor> slow = adapter(train(golden, "rac-lora", "train.steps=3"));
    Map<String, StoredTensor> fast =
        adapter(train(golden, "rac-lora", "train.steps=3", "optimizer.learning-rate=0.1"));
    slow.forEach(
        (name, tensor) -> {
          float[] values = tensor.floats();
          if (name.contains("lora_A")) {
            assertThat(fast.get(name).floats()).as(name).isEqualTo(values);
            int link = values.length / 3;
            float[] last = Arrays.copyOf(values, link);
            assertThat(Arrays.copyOfRange(values, link, 2 * link)).isNotEqualTo(last);
            assertThat(Arrays.copyOfRange(values, 2 * link, 3 * link)).isNotEqualTo(last);
          } else {
            assertThat(fast.get(name).floats()).as(name).isNotEqualTo(values);
          }
        });
  }

  /** What training says of each rank is what evaluating its adapter says, and no two are alike. */
  @ParameterizedTest
  @CsvSource({"bert,prefix", "gpt2,prefix", "llama-gqa,last"})
  void train_dylora_tellsOfEveryRank(String family, String ranks) {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    Path output = temp.resolve("output");
    InProcess run =
        kindling(2, fresh(golden, output, held, "method=dylora", "adapter.ranks=" + ranks));
    assertThat(run.code()).as(run.stdout()).isZero();
    JsonNode table = run.json().get("ranks");
    JsonNode evaluated = kindling(1, golden.evaluate(output)).json().get("ranks");
    assertThat(table).hasSize(4);
    for (int b = 1; b <= 4; b++) {
      assertThat(table.get(b - 1).get("rank").asInt()).isEqualTo(b);
      assertThat(evaluated.get(b - 1).get("loss").asDouble())
          .isCloseTo(table.get(b - 1).get("loss").asDouble(), offset(1e-5));
      assertThat(table.get(b % 4).get("loss")).isNotEqualTo(table.get(b - 1).get("loss"));
    }
    assertThat(run.json().at("/validation/loss")).isEqualTo(table.get(3).get("loss"));
  }

  /** One step moves the rank that was drawn, and no other, whatever decays. */
  @Test
  void train_lastOfRanks_movesThatRankAlone() {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    String[] settings = {"train.steps=1", "optimizer.weight-decay=0.5", "adapter.ranks=last"};
    Map<String, StoredTensor> one = adapter(train(golden, "dylora", settings));
    Map<String, StoredTensor> ffa = adapter(train(golden, "ffa-lora", "train.steps=1"));
    int drawn = new Ranks(Ranks.Use.LAST, 4, 3).active(0) - 1;
    one.forEach(
        (name, tensor) -> {
          float[] values = tensor.floats();
          int columns = (int) tensor.shape()[1];
          for (int i = 0; i < values.length; i++) {
            if (name.contains("lora_A")) {
              boolean same = values[i] == ffa.get(name).floats()[i];
              assertThat(same).as(name).isEqualTo(i / columns != drawn);
            } else if (name.contains("lora_B") && i % columns != drawn) {
              assertThat(values[i]).as(name).isZero();
            }
          }
        });
  }

  /** A chain of one link is no chain, and no run has more links than steps. */
  @Test
  void train_chainOfOneLink_isLora() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    assertThat(train(golden, "cola", "merge.links=1").resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(train(golden, "lora").resolve("adapter/adapter_model.safetensors"));
    Map<String, StoredTensor> two = adapter(train(golden, "relora", "train.steps=2"));
    two.forEach(
        (name, tensor) -> {
          if (name.contains("lora_A")) {
            assertThat(tensor.shape()[0]).isEqualTo(8);
          }
        });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bert | adapter.r=33 | adapter.initialiser: adapter.r is 33, and",
        "bert | train.precision=bf16 | adapter.initialiser = olora adds to the frozen weights",
        "llama-tied-table-head | adapter.target-modules=[embed_tokens] | is an embedding",
        "llama-tied-table-head | adapter.target-modules=[lm_head] | are another layer's too"
      })
  void train_oloraWhereItCannotBe_isRefusedByName(String name, String setting, String message) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    InProcess refused = kindling(1, fresh(golden, temp.resolve("never"), "method=olora", setting));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains(message);
  }

  /**
   * Of w = Q·R the first r columns are Q's times R's: those of the weight that it stands beside.
   */
  @ParameterizedTest
  @CsvSource({"bert", "gpt2"})
  void train_olora_takesItsOwnWeight(String family) {
    GoldenFolder folder = GoldenFolder.copy(family, temp);
    Golden golden = new Golden(folder.folder());
    Map<String, StoredTensor> exported = adapter(train(folder, "olora", "train.steps=1"));
    int r = 4;
    int seen = 0;
    for (LinearModule m : golden.plan.linears()) {
      StoredTensor down = exported.get("base_model.model." + m.name() + ".lora_A.weight");
      if (down == null) {
        continue;
      }
      float[] a = down.floats();
      float[] b = exported.get("base_model.model." + m.name() + ".lora_B.weight").floats();
      float[] w = golden.base.find(m.weight()).orElseThrow().floats();
      for (int i = 0; i < m.out(); i++) {
        for (int c = 0; c < r; c++) {
          double sum = 0;
          for (int k = r; k < 2 * r; k++) { // what was taken out stands behind what was learned
            sum -= (double) b[i * 2 * r + k] * a[k * m.in() + c];
          }
          assertThat(sum)
              .as(m.name())
              .isCloseTo(w[m.turned() ? c * m.out() + i : i * m.in() + c], offset(1e-6));
        }
      }
      seen++;
    }
    assertThat(seen).isGreaterThan(3);
  }

  /**
   * A result explained is the run that it was, whatever its method's settings were overruled by.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "method=lora-plus optimizer.lora-plus-ratio=1",
        "method=olora adapter.initialiser=kaiming",
        "method=olora",
        "method=rslora"
      })
  void kept_anyMethod_isTheSameRun(String settings) {
    List<String> overrides =
        new ArrayList<>(List.of("base.path=b", "data.train=t", "output=o", "train.steps=1"));
    overrides.addAll(words(settings));
    ConfigSource source = ConfigSource.read(Optional.empty(), overrides);
    ConfigSource kept = ConfigSource.kept(source.render());
    assertThat(kept.identity()).isEqualTo(source.identity());
    assertThat(ConfigSource.read(Optional.empty(), List.of("method=lora")).over(kept).identity())
        .containsEntry("adapter.scaling", "standard");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adapter.train=a | B begins at zero",
        "method=ffa-lora sync.mode=averaging sync.exactness=fedex | averages leave nothing out",
        "method=olora adapter.train=a sync.mode=averaging sync.exactness=ffa | trains B, and",
        "method=olora base.storage=as-stored | base.storage = as-stored: adapter.initialiser",
        "method=qlora adapter.initialiser=pissa | base.storage = nf4: adapter.initialiser = pissa",
        "method=cola base.storage=int8 | base.storage = int8: merge.links = 3 adds to the frozen",
        "method=null | method is null: expected",
        "merge.every-steps=4 train.steps=6 | does not divide the run's 6 steps: choose a divisor",
        "merge.every-steps=3 train.steps=6 sync.mode=averaging sync.averaging-frequency=2 | multiple",
        "merge.links=2 merge.every-steps=2 | set one of merge.links and merge.every-steps",
        "merge.warmup=0.1 | merge.warmup is for a chain: set merge.links above 1",
        "method=cola merge.pruned=0.5 | merge.pruned is for merge.optimizer = random",
        "method=cola adapter.train=a | each link begins with B at zero",
        "optimizer.floor=0.1 | optimizer.floor is for optimizer.schedule = linear",
        "method=dylora sync.mode=averaging sync.outer=nesterov | would move ranks that no worker",
        "method=dylora adapter.initialiser=olora | no prefix of them would be an adapter",
        "method=orthogonal adapter.ranks=prefix | = orthogonal are nothing as a whole, and their",
        "method=orthogonal adapter.r=1 adapter.train=a | B begins at zero",
        "method=cola adapter.ranks=last | merge.links = 3 adds to the frozen weights belongs to all",
        "method=dora merge.links=2 | adapter.magnitudes: merge.links adds pairs",
        "method=dora sync.mode=averaging sync.exactness=fedex | adapter.magnitudes: sync.exactness",
        "method=dylora adapter.rank-pattern={query=2} | a step's rank is one for all layers",
        "adapter.rank-pattern={query=0,\"(\"=1} | 'query' is 0: expected whole numbers",
        "adapter.rank-pattern={query=0,\"(\"=1} | '(' is no regular expression",
        "method=ce-lora sync.mode=averaging | sampling.kept: features are chosen by all gradients",
        "method=ce-lora adapter.initialiser=olora | weights are taken apart as they are loaded, and",
        "sampling.kept={query=1.5} | sampling.kept: 'query' is 1.5: expected numbers above 0",
        "sampling.every-steps=3 | is for sampled gradients: set sampling.kept",
        "sampling.kept={quarry=0.5} | match no layer with a pair",
        "method=ce-lora plan.chooser=fixed:f2b5 | of whose gradient only a part goes on",
        "adapter.alpha-pattern=3 | adapter.alpha-pattern is 3: expected {name = number}",
        "adapter.alpha-pattern={quarry=3} | 'quarry' matches no layer with a pair",
        "method=cola train.precision=bf16 | merge.links = 3 adds to the frozen weights"
      })
  void train_settingsThatCannotBe_areNamed(String settings, String message) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    List<String> all = words(settings);
    InProcess refused =
        kindling(1, fresh(golden, temp.resolve("never"), all.toArray(new String[0])));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains(message);
  }
}
