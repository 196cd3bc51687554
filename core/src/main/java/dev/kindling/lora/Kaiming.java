package dev.kindling.lora;

import dev.kindling.lora.Initialiser.Drawn;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.tensor.Seeds;

/** As PEFT begins: A ~ U(−1/√in, 1/√in), which is its kaiming_uniform(√5), and B zero. */
final class Kaiming implements Drawn {
  @Override
  public Pair pair(long seed, int out, int in, int r) {
    return new Pair(Seeds.uniform(seed, r * in, 1 / Math.sqrt(in)), new float[out * r]);
  }

  @Override
  public boolean zeroB(int r) {
    return true;
  }
}
