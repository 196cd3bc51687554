package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A folder of golden vectors, copied out of core's fixtures to where a job can read it. */
public record GoldenFolder(Path folder, JsonNode settings) {
  private static final List<String> FILES =
      List.of(
          "config.json",
          "model.safetensors",
          "model.safetensors.index.json",
          "model-00001-of-00003.safetensors",
          "model-00002-of-00003.safetensors",
          "model-00003-of-00003.safetensors",
          "data.jsonl",
          "case.json",
          "expected.safetensors",
          "adapter/adapter_config.json",
          "adapter/adapter_model.safetensors");

  /** Copies a case below a temporary folder. */
  public static GoldenFolder copy(String name, Path below) {
    Path folder = below.resolve(name);
    try {
      Files.createDirectories(folder.resolve("adapter"));
      for (String file : FILES) {
        try (InputStream in =
            GoldenFolder.class.getResourceAsStream("/golden/" + name + "/" + file)) {
          if (in != null) { // whole or in shards
            Files.write(folder.resolve(file), in.readAllBytes());
          }
        }
      }
      return new GoldenFolder(
          folder, new ObjectMapper().readTree(folder.resolve("case.json").toFile()));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Path of a file, as an override's value. */
  public String path(String file) {
    return folder.resolve(file).toString();
  }

  /** {@code train} with the case's settings, followed by more overrides. */
  public List<String> train(Path output, String... more) {
    JsonNode o = settings.get("optimizer");
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "base.path=" + folder,
                "adapter.init-from=" + path("adapter"),
                "data.train=" + path("data.jsonl"),
                "data.shuffle=false",
                "train.steps=" + settings.get("steps").asInt(),
                "train.global-batch-size=" + settings.get("batch_size").asInt(),
                "train.max-grad-norm=" + o.path("max_grad_norm").asDouble(0),
                "optimizer.learning-rate=" + o.get("lr").asDouble(),
                "optimizer.lora-plus-ratio=" + o.path("loraplus_lr_ratio").asDouble(1),
                "optimizer.weight-decay=" + o.path("weight_decay").asDouble(0),
                "optimizer.schedule=" + o.path("schedule").asText("constant"),
                "optimizer.warmup-steps=" + o.path("warmup_steps").asInt(0),
                "output=" + output));
    arguments.addAll(List.of(more));
    return arguments;
  }

  /** {@code evaluate} of what a run exported, on the case's rows. */
  public List<String> evaluate(Path output) {
    return List.of(
        "evaluate",
        "base.path=" + folder,
        "adapter.init-from=" + output.resolve("adapter"),
        "data.validation=" + path("data.jsonl"));
  }

  /** Losses of a run's metrics.jsonl. */
  public static List<Double> losses(Path output) {
    List<Double> losses = new ArrayList<>();
    try {
      for (String line : Files.readAllLines(output.resolve("metrics.jsonl"))) {
        losses.add(new ObjectMapper().readTree(line).get("loss").asDouble());
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return losses;
  }

  /** Losses that PyTorch had. */
  public List<Double> expectedLosses() {
    List<Double> losses = new ArrayList<>();
    settings.at("/expected/train.losses").forEach(loss -> losses.add(loss.asDouble()));
    return losses;
  }

  /**
   * Share of the adapter's entries further than 1e-4 from PyTorch's; −1 if one is off by 2 rates.
   */
  public double shareOff(Path output) {
    Map<String, StoredTensor> expected = Safetensors.open(folder.resolve("expected.safetensors"));
    Map<String, StoredTensor> trained =
        Safetensors.open(output.resolve("adapter/adapter_model.safetensors"));
    double rate =
        settings.at("/optimizer/lr").asDouble()
            * settings.at("/optimizer/loraplus_lr_ratio").asDouble(1);
    int far = 0;
    int all = 0;
    for (StoredTensor tensor : trained.values()) {
      float[] wanted = expected.get("trained." + tensor.name()).require(tensor.shape()).floats();
      float[] found = tensor.floats();
      for (int i = 0; i < found.length; i++) {
        double off = Math.abs(found[i] - wanted[i]);
        if (!(off < 2 * rate)) {
          return -1;
        }
        far += off > 1e-4 ? 1 : 0;
        all++;
      }
    }
    return (double) far / all;
  }
}
