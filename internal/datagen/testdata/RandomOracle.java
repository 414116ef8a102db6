import java.util.Random;

/**
 * Writes what java.util.Random draws, for random_golden.tsv: java RandomOracle.java > random_golden.tsv (any JDK; the class's
 * arithmetic is specified).
 */
public class RandomOracle {
  public static void main(String[] args) {
    long[] seeds = {0, 1, 42, -1, 0x5DEECE66DL, Long.MIN_VALUE, Long.MAX_VALUE, 1234567890123456789L};
    int[] bounds = {1, 2, 3, 7, 40, 128, 1000000007, 1 << 30, (1 << 30) + 1, Integer.MAX_VALUE};
    for (long seed : seeds) {
      Random r = new Random(seed);
      StringBuilder b = new StringBuilder().append(seed);
      for (int i = 0; i < 5; i++) {
        b.append("\tint ").append(r.nextInt());
      }
      for (int bound : bounds) {
        for (int i = 0; i < 5; i++) {
          b.append("\tint(").append(bound).append(") ").append(r.nextInt(bound));
        }
      }
      for (int i = 0; i < 5; i++) {
        b.append("\tlong ").append(r.nextLong());
        b.append("\tdouble ").append(Double.doubleToRawLongBits(r.nextDouble()));
        b.append("\tfloat ").append(Float.floatToRawIntBits(r.nextFloat()));
        b.append("\tboolean ").append(r.nextBoolean());
        byte[] bytes = new byte[i + 3];
        r.nextBytes(bytes);
        b.append("\tbytes ");
        for (byte x : bytes) {
          b.append(String.format("%02x", x));
        }
      }
      r.setSeed(r.nextLong());
      b.append("\tint ").append(r.nextInt());
      System.out.print(b.append('\n'));
    }
  }
}
