package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Sampling;
import dev.kindling.model.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What tells each method from plain LoRA. */
class MethodSignaturesTest extends MethodCase {
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

  /** Of each family the layers that the paper samples, and those that it leaves exact. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bert | value attention.output.dense | intermediate.dense 0.output.dense | query key pooler.dense",
        "gpt2 | attn.c_proj | mlp.c_fc mlp.c_proj | c_attn wte",
        "llama-gqa | v_proj o_proj | up_proj down_proj | q_proj k_proj gate_proj embed_tokens"
      })
  void kept_ceLora_isThePapersShareOfEachLayer(
      String family, String outputs, String feedForward, String exact) {
    Sampling sampling =
        JobConfig.of(
                ConfigSource.read(
                    Optional.empty(),
                    words("method=ce-lora base.path=b data.train=t output=o train.steps=1")),
                JobConfig.Command.TRAIN)
            .adapter()
            .sampling();
    Map<String, Integer> shares = new TreeMap<>();
    words(outputs).forEach(name -> shares.put(name, 550));
    words(feedForward).forEach(name -> shares.put(name, 650));
    words(exact).forEach(name -> shares.put(name, 1000));
    Golden golden = new Golden(GoldenFolder.copy(family, temp).folder());
    shares.forEach(
        (name, share) ->
            assertThat(golden.plan.linears())
                .filteredOn(m -> m.name().endsWith("." + name))
                .as(name)
                .isNotEmpty()
                .allSatisfy(m -> assertThat(sampling.kept(m.name(), 1000)).isEqualTo(share)));
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

  /** It begins as the base, and the export for the base as it was has both what it is and was. */
  @ParameterizedTest
  @CsvSource({
    "bert,olora,standard",
    "gpt2,olora,standard",
    "llama-gqa,olora,rank-stabilised",
    "gpt2,pissa,standard",
    "llama-gqa,pissa,rank-stabilised"
  })
  void train_fromBase_beginsAsTheBaseAndExportsTwiceTheRank(
      String family, String method, String scaling) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    JsonNode plain = kindling(2, fresh(golden, temp.resolve("plain"), held)).json();
    Path output = temp.resolve(method);
    String scaled = "adapter.scaling=" + scaling;
    JsonNode begun = kindling(2, fresh(golden, output, held, "method=" + method, scaled)).json();
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
}
