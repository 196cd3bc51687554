package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is made of a finished run: an adapter of a lower rank, a base without an adapter. */
class ExportTest {
  /** Among a run's settings: not from the case's adapter. */
  private static final String FRESH = "fresh";

  @TempDir Path temp;

  private static Map<String, StoredTensor> tensors(Path folder) {
    Map<String, StoredTensor> tensors = new TreeMap<>();
    HfFolder.open(folder).tensors().forEach(t -> tensors.put(t.name(), t));
    return tensors;
  }

  private static String[] split(String settings) {
    return settings.isEmpty() ? new String[0] : settings.split(" ", -1);
  }

  private InProcess train(GoldenFolder golden, Path output, String... more) {
    List<String> arguments = new ArrayList<>(golden.train(output, more));
    if (arguments.remove(FRESH)) {
      arguments.removeIf(a -> a.startsWith("adapter.init-from"));
    }
    arguments.add("data.validation=" + golden.path("data.jsonl"));
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isZero();
    return run;
  }

  /** By itself it has the loss that training ended with, and is stored as the base is. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bert | '' | 1e-5",
        "roberta | '' | 1e-5",
        "gpt2 | '' | 1e-5",
        "llama-gqa | merge.links=2 | 1e-5",
        "llama-table-saved-head | '' | 1e-5",
        "llama-dora | '' | 1e-5",
        "llama-rslora | '' | 1e-5",
        "gpt2 | fresh method=dora adapter.initialiser=olora | 1e-5",
        "llama-gqa | fresh method=dylora adapter.r=3 | 1e-5",
        "gpt2 | fresh method=pissa adapter.rank-pattern={c_attn=3} adapter.alpha-pattern={c_fc=9} | 1e-5",
        "llama-bf16-sharded | '' | 2e-2"
      })
  void merge_anyFamily_isTheAdaptedModel(String family, String more, double tolerance)
      throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    Path output = temp.resolve("output");
    JsonNode trained = train(golden, output, split(more)).json();
    Files.writeString(golden.folder().resolve("vocab.txt"), "words");
    Path merged = temp.resolve("merged");
    InProcess run = kindling("merge", "output=" + output, "to=" + merged);
    assertThat(run.code()).as(run.stdout()).isZero();
    assertThat(run.json().get("largestDifference").asDouble())
        .isLessThan(tolerance * 10 * run.json().get("largestLogit").asDouble());
    assertThat(merged.resolve("vocab.txt")).hasContent("words");
    JsonNode evaluated =
        kindling("evaluate", "base.path=" + merged, "data.validation=" + golden.path("data.jsonl"))
            .json();
    double loss = trained.at("/validation/loss").asDouble();
    assertThat(evaluated.path("loss").asDouble()).isCloseTo(loss, offset(tolerance * loss));
    Map<String, StoredTensor> after = tensors(merged);
    int changed = 0;
    for (StoredTensor before : tensors(golden.folder()).values()) {
      StoredTensor now = after.getOrDefault(before.name(), after.get("bert." + before.name()));
      assertThat(now.dtype()).isEqualTo(before.dtype());
      assertThat(now.shape()).isEqualTo(before.shape());
      assertThat(now.file().getFileName()).isEqualTo(before.file().getFileName());
      boolean same = now.map(0, now.elements()).equals(before.map(0, before.elements()));
      changed += same ? 0 : 1;
    }
    assertThat(changed).isPositive().isLessThan(after.size());
  }

  /** A base of bare names gets a head beside it, and is a classifier then. */
  @Test
  void merge_baseWithoutAHead_becomesAClassifier() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path bare = temp.resolve("bare");
    Files.createDirectories(bare);
    Map<String, Safetensors.Values> kept = new TreeMap<>();
    tensors(golden.folder())
        .forEach(
            (name, t) -> {
              if (!name.startsWith("classifier")) {
                kept.put(
                    name.replaceFirst("^bert\\.", ""),
                    new Safetensors.Values(t.floats(), t.shape()));
              }
            });
    try (var out = Files.newOutputStream(bare.resolve("model.safetensors"))) {
      Safetensors.write(out, kept, Map.of());
    }
    String config = Files.readString(golden.folder().resolve("config.json"));
    Files.writeString(
        bare.resolve("config.json"), config.replace("BertForSequenceClassification", "BertModel"));
    Path output = temp.resolve("output");
    InProcess trained = train(golden, output, "base.path=" + bare, FRESH, "train.steps=3");
    Path merged = temp.resolve("merged");
    InProcess run = kindling("merge", "output=" + output, "to=" + merged);
    assertThat(run.code()).as(run.stdout()).isZero();
    assertThat(tensors(merged)).containsKeys("classifier.weight", "classifier.bias");
    assertThat(tensors(merged).keySet()).allMatch(n -> n.matches("(bert|classifier)\\..*"));
    JsonNode said = HfFolder.open(merged).config();
    assertThat(said.at("/architectures/0").asText()).isEqualTo("BertForSequenceClassification");
    JsonNode evaluated =
        kindling("evaluate", "base.path=" + merged, "data.validation=" + golden.path("data.jsonl"))
            .json();
    assertThat(evaluated.path("loss").asDouble())
        .isCloseTo(trained.json().at("/validation/loss").asDouble(), offset(1e-5));
  }

  @Test
  void export_anyRank_isTheAdapterThatTrainingToldOf() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("gpt2", temp);
    Path output = temp.resolve("output");
    JsonNode ranks =
        train(golden, output, FRESH, "method=dylora", "adapter.r=4").json().get("ranks");
    for (int rank : new int[] {1, 3, 4}) {
      Path cut = temp.resolve("rank" + rank);
      InProcess run = kindling("export", "output=" + output, "rank=" + rank, "to=" + cut);
      assertThat(run.code()).as(run.stdout()).isZero();
      assertThat(HfFolder.json(cut.resolve("adapter_config.json")).get("r").asInt())
          .isEqualTo(rank);
      Files.delete(cut.resolve("kindling.json")); // then it is an adapter like any other
      JsonNode evaluated =
          kindling(
                  "evaluate",
                  "base.path=" + golden.folder(),
                  "adapter.init-from=" + cut,
                  "data.validation=" + golden.path("data.jsonl"))
              .json();
      assertThat(evaluated.get("loss").asDouble())
          .isCloseTo(ranks.get(rank - 1).get("loss").asDouble(), offset(1e-6));
      assertThat(evaluated.has("ranks")).isFalse();
    }
    InProcess more = kindling("export", "output=" + output, "rank=5", "to=" + temp.resolve("5"));
    assertThat(more.code()).isEqualTo(2);
    assertThat(more.messages()).contains("rank is 5, and the adapter's is 4");
  }

  /** Of what began as a part of the base, the base without that part, and what was learned. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bert | method=olora adapter.r=4 | 4",
        "llama-gqa | method=pissa adapter.r=3 adapter.scaling=rank-stabilised | 3",
        "gpt2 | method=olora adapter.r=2 adapter.rank-pattern={c_attn=3} | 2",
        "llama-gqa | method=cola adapter.r=2 | 2"
      })
  void export_withItsBase_isWhatWasTrained(String family, String settings, int rank)
      throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    Path output = temp.resolve("output");
    JsonNode trained = train(golden, output, split("fresh " + settings)).json();
    Path base = temp.resolve("base");
    Path cut = temp.resolve("cut");
    InProcess run =
        kindling("export", "output=" + output, "rank=" + rank, "to=" + cut, "base-to=" + base);
    assertThat(run.code()).as(run.stdout()).isZero();
    assertThat(run.json().get("baseTo").asText()).isEqualTo(base.toString());
    JsonNode said = HfFolder.json(cut.resolve("adapter_config.json"));
    assertThat(said.get("r").asInt()).isEqualTo(rank);
    assertThat(said.get("base_model_name_or_path").asText()).isEqualTo(base.toString());
    JsonNode evaluated =
        kindling(
                "evaluate",
                "base.path=" + base,
                "adapter.init-from=" + cut,
                "data.validation=" + golden.path("data.jsonl"))
            .json();
    assertThat(evaluated.get("loss").asDouble())
        .isCloseTo(trained.at("/validation/loss").asDouble(), offset(1e-5));
  }

  /** Of two folders there are both or none, and no part of what is more than a sum is added. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama-gqa | method=olora | | base-to needs a rank below the adapter's, 8",
        "llama-gqa | method=olora | rank=4 | is not empty",
        "llama-gqa | method=dora | rank=2 | use merge for all of it",
        "llama-gqa | method=qlora | rank=2 | codes of a changed base are others",
        "gpt2 | method=olora adapter.rank-pattern={c_attn=3} | rank=1 | in proportion at [4]",
        "llama-tied-table-head | method=lora adapter.target-modules=[lm_head] | rank=2 | (tied)"
      })
  void export_withABaseThatCannotBe_leavesNothing(
      String family, String settings, String rank, String message) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    Path output = temp.resolve("output");
    train(golden, output, split("fresh adapter.r=4 " + settings));
    Path cut = Files.createDirectory(temp.resolve("cut"));
    Files.writeString(cut.resolve("mine"), "keep");
    Path base = temp.resolve("base");
    List<String> export =
        new ArrayList<>(List.of("export", "output=" + output, "to=" + cut, "base-to=" + base));
    if (rank != null) {
      export.add(rank);
    }
    InProcess refused = kindling(1, export);
    assertThat(refused.code())
        .as(refused.stdout())
        .isEqualTo(message.equals("is not empty") ? 3 : 2);
    assertThat(refused.messages()).contains(message);
    assertThat(base).doesNotExist();
    assertThat(cut).isDirectoryContaining(file -> file.endsWith("mine"));
  }

  /** Its prefixes were adapters beside the base as it was. */
  @Test
  void export_dyloraWithItsBase_isNoLongerNested() {
    GoldenFolder golden = GoldenFolder.copy("gpt2", temp);
    Path output = temp.resolve("output");
    train(golden, output, FRESH, "method=dylora", "adapter.r=4");
    String cut = temp.resolve("cut").toString();
    String base = temp.resolve("base").toString();
    assertThat(
            kindling("export", "output=" + output, "rank=2", "to=" + cut, "base-to=" + base).code())
        .isZero();
    InProcess again =
        kindling(
            "export",
            "base.path=" + base,
            "adapter.init-from=" + cut,
            "rank=1",
            "to=" + temp.resolve("one"));
    assertThat(again.code()).isEqualTo(2);
    assertThat(again.messages()).contains("the adapter is one only at its own rank, 2");
  }

  @Test
  void exportAndMerge_whatCannotBe_isRefusedAndLeavesNothing() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("llama-tied-table-head", temp);
    Path output = temp.resolve("output");
    train(golden, output);
    Path table = temp.resolve("table");
    train(
        golden,
        table,
        FRESH,
        "adapter.modules-to-save=[embed_tokens]",
        "adapter.target-modules=[q_proj]");
    Path to = temp.resolve("to");
    InProcess saved = kindling("merge", "output=" + table, "to=" + to);
    assertThat(saved.messages()).contains("embed_tokens are another layer's too (tied)");
    InProcess tied = kindling("merge", "output=" + output, "to=" + to);
    assertThat(tied.code()).isEqualTo(2);
    assertThat(tied.messages()).contains("are another layer's too (tied)");
    InProcess rank = kindling("export", "output=" + output, "to=" + to, "rank=1");
    assertThat(rank.code()).isEqualTo(2);
    assertThat(rank.messages()).contains("train with method = dylora for one whose every rank is");
    assertThat(to).doesNotExist();
    Files.createDirectories(to);
    Files.writeString(to.resolve("mine"), "keep");
    InProcess full = kindling("export", "output=" + output, "to=" + to);
    assertThat(full.messages()).contains("is not empty; name a new folder");
    assertThat(to.resolve("mine")).hasContent("keep");
    InProcess nowhere = kindling("merge", "base.path=" + golden.folder(), "rank=2");
    assertThat(nowhere.code()).isEqualTo(2);
    assertThat(nowhere.messages())
        .contains("to is missing", "adapter.init-from is missing", "rank is for export");
    List<String> train = new ArrayList<>(golden.train(output));
    train.add("to=" + to);
    assertThat(kindling(1, train).messages()).contains("to is for export and merge");
  }
}
