package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * ReLoRA from random weights (Lialin et al., arXiv:2307.05695): a warm start in full, merged, then
 * a chain of adapters, beside full training and beside one adapter for as many steps; the shape of
 * examples/tiny-llama, on Macbeth. {@code mvn verify -Pboard -Dit.test=FromScratchIT}; steps by
 * {@code -Dkindling.board.steps}. Prints a row for bench/results/from-scratch.md.
 */
@Tag("board")
class FromScratchIT {
  private static final Path TINY = Path.of("../examples/tiny-llama").toAbsolutePath().normalize();
  private static final String ALL =
      "[embed_tokens,q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj,lm_head]";

  /** Steps of the whole; a fifth of them is the warm start. */
  private static final int STEPS = Integer.getInteger("kindling.board.steps", 400);

  @TempDir Path temp;

  private Path random() throws IOException {
    Path base = Files.createDirectory(temp.resolve("random"));
    Files.copy(TINY.resolve("tokenizer.json"), base.resolve("tokenizer.json"));
    ObjectMapper json = new ObjectMapper();
    ObjectNode config = (ObjectNode) json.readTree(TINY.resolve("config.json").toFile());
    config.put("tie_word_embeddings", false); // else what a warm start learns cannot be merged
    json.writeValue(base.resolve("config.json").toFile(), config);
    RandomWeights.write(base, 1);
    return base;
  }

  private JsonNode train(Path base, Path output, int steps, String... more) throws IOException {
    String recipe = Files.readString(Path.of("../conf/macbeth.conf"));
    Path conf = temp.resolve("steps-" + steps + ".conf");
    Files.writeString(conf, recipe.replace("epochs = 8", "steps = " + steps));
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                conf.toString(),
                "base.path=" + base,
                "base.storage=fp32",
                "output=" + output));
    arguments.addAll(List.of(more));
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    return run.json();
  }

  private JsonNode full(Path base, Path output, int steps, int warmup) throws IOException {
    return train(
        base,
        output,
        steps,
        "adapter.modules-to-save=" + ALL,
        "optimizer.learning-rate=1e-3",
        "optimizer.warmup-steps=" + warmup);
  }

  private static double perplexity(JsonNode run) {
    return run.at("/validation/perplexity").asDouble();
  }

  @Test
  void relora_fromAWarmStart_learnsMoreThanOneAdapter() throws IOException {
    Path base = random();
    int warm = STEPS / 5;
    JsonNode whole = full(base, temp.resolve("whole"), STEPS, warm / 4);
    JsonNode begun = full(base, temp.resolve("warm"), warm, warm / 4);
    Path merged = temp.resolve("merged");
    Launched merge = Launched.kindling("merge", "output=" + temp.resolve("warm"), "to=" + merged);
    assertThat(merge.code()).as(merge.stderr()).isZero();
    String[] chain = {"method=relora", "optimizer.learning-rate=4e-3", "optimizer.warmup-steps=10"};
    String[] one = {"method=lora", "optimizer.learning-rate=4e-3", "optimizer.warmup-steps=10"};
    JsonNode links = train(merged, temp.resolve("links"), STEPS - warm, chain);
    JsonNode adapter = train(merged, temp.resolve("adapter"), STEPS - warm, one);
    System.err.printf(
        "from scratch: | %d | %.1f | %.1f | %.1f | %.1f | %.1f |%n",
        STEPS,
        whole.at("/before/perplexity").asDouble(),
        perplexity(begun),
        perplexity(adapter),
        perplexity(links),
        perplexity(whole));
    assertThat(perplexity(links)).isLessThan(perplexity(begun));
  }
}
